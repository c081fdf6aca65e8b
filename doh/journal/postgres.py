"""The statements in which PostgreSQL saves most: the fan-out's query and the flush's writes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connections

from doh.again import again
from doh.journal.among import bigints
from doh.journal.base import Journal
from doh.journal.batches import Taken
from doh.journal.flushing import OUTCOME_COLUMNS, outcome_row
from doh.journal.records import EventClaim, Ring, Settled
from doh.journal.retrying import WINDOW, Due
from doh.models import Batch, Delivery, Event, Hook
from doh.querysets import ANY_ACTION
from doh.types import Pair

# To have the ORM write these two would take as long as to run them, and every save waits for one.
_ROWS = (
    "SELECT FROM {hook} WHERE content_type_id = %(content_type_id)s"
    " AND action IN (%(action)s, %(any_action)s) AND disabled_at IS NULL"
)
_LISTENS = (
    f"EXISTS ({_ROWS} AND object_id = %(object_id)s) OR EXISTS ({_ROWS} AND object_id IS NULL)"
)
_HEARD = f"SELECT 1 WHERE {_LISTENS}"
_RECORD = """
    INSERT INTO {event} ({names}, hooks_until, due_at)
    SELECT {values}, coalesce((SELECT max(id) FROM {hook}), 0), statement_timestamp()
    WHERE {condition}
    RETURNING id
"""
# Four index ranges per event: hooks of its own and of the whole model, for its action and for any.
# Each is in order already, so they are merged, and the outer sort goes event by event: the cost is
# that of the rows returned, whether the event has one hook or a million.
_RANGE = """
        (SELECT id FROM {hook}
         WHERE content_type_id = e.content_type_id AND object_id {key} AND action = {action}
           AND id > e.after AND id <= e.until AND disabled_at IS NULL
           AND (expires_at IS NULL OR expires_at > clock_timestamp())
         ORDER BY id LIMIT %(limit)s)"""
_RANGES = "\n        UNION ALL".join(
    _RANGE.replace("{key}", key).replace("{action}", action)
    for key in ("= e.object_id", "IS NULL")
    for action in ("e.action", "%(any)s AND e.action <> %(any)s")
)
_MATCH = f"""
    SELECT e.id, h.id
    FROM unnest(%(ids)s::bigint[], %(types)s::int[], %(keys)s::text[], %(actions)s::text[],
                %(after)s::bigint[], %(until)s::bigint[]) WITH ORDINALITY
         AS e(id, content_type_id, object_id, action, after, until, place)
    CROSS JOIN LATERAL ({_RANGES}
        ORDER BY id LIMIT %(limit)s
    ) AS h
    ORDER BY e.place, h.id
    LIMIT %(limit)s
"""  # noqa: S608

# It is its own transaction: begun, made and ended at once.
_TAKE = """
    UPDATE {batch} AS b
    SET epoch = epoch + 1, tries = tries + 1,
        due_at = statement_timestamp() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND epoch = %(epoch)s
    RETURNING *, statement_timestamp() AS at,
        EXISTS (SELECT FROM {delivery} WHERE batch_id = b.id) AS again
"""

_COLUMNS = {
    "event_id": "bigint",
    "hook_id": "bigint",
    "status": "text",
    "attempts": "smallint",
    "due_at": "timestamptz",
    "batch_id": "bigint",
    "body": "text",
    "status_code": "smallint",
    "detail": "text",
    "host": "text",
    "blocked": "boolean",
    "updated_at": "timestamptz",
    "pending": "boolean",
    "deferred_at": "timestamptz",
    "slot_at": "timestamptz",
    "granted": "smallint",
}
#: A column that is sent as an array even if it is the same in all rows: there must be one.
_NEVER_ALIKE = "hook_id"
_KEYS = ("event_id", "hook_id")
_NAMES = ", ".join(_COLUMNS)
_INSERT = f"""
    INSERT INTO {{delivery}} ({_NAMES}) {{rows}}
    ON CONFLICT (event_id, hook_id) DO NOTHING
    RETURNING event_id, hook_id, id
"""
_UPDATE = f"""
    UPDATE {{delivery}} AS d SET {", ".join(f"{name} = v.{name}" for name in OUTCOME_COLUMNS)}
    FROM ({{rows}}) AS v
    WHERE d.event_id = v.event_id AND d.hook_id = v.hook_id AND d.batch_id = %(owner)s
    RETURNING d.event_id, d.hook_id, d.id
"""  # noqa: S608
# The index of due rows gives the window; what is taken of it is ranked host by host and locked.
_DUE = """
    SELECT d.event_id, d.hook_id, d.id, d.host, d.attempts
    FROM (
        SELECT id, due_at, row_number() OVER (PARTITION BY host ORDER BY due_at) AS turn
        FROM (
            SELECT id, host, due_at FROM {delivery}
            WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(window)s
        ) AS oldest
    ) AS placed
    JOIN {delivery} AS d USING (id)
    WHERE d.due_at <= %(now)s
    ORDER BY placed.turn, placed.due_at
    LIMIT %(limit)s
    FOR UPDATE OF d SKIP LOCKED
"""


class PostgresJournal(Journal):
    """The same journal; a quarter of the time per delivery."""

    def is_heard(self, content_type_id: int, object_id: str, action: str) -> bool:
        """See `RecordLedger.is_heard`."""
        values = {
            "content_type_id": content_type_id,
            "object_id": object_id,
            "action": action,
            "any_action": ANY_ACTION,
        }
        return bool(self._run(_HEARD.format(hook=_table(Hook)), values))

    def record(self, event: Event, *, ask: bool = False) -> bool:
        """See `RecordLedger.record`; here it is one statement, asked or not."""
        names, sql = _recording(ask=ask)
        values = {name: getattr(event, name) for name in names}
        rows = self._run(sql, {**values, "any_action": ANY_ACTION})
        if rows:
            ((event.pk,),) = rows
        return bool(rows)

    @again
    def _take(self, ring: Ring, lease: float) -> Taken | None:
        values = {"id": ring.batch_id, "epoch": ring.epoch, "lease": lease}
        sql = _TAKE.format(batch=_table(Batch), delivery=_table(Delivery))
        for batch in Batch.objects.using(self.alias).raw(sql, values):
            return Taken(batch, batch.at, batch.again)  # type: ignore[attr-defined]
        return None

    def match(self, claims: Sequence[EventClaim], limit: int) -> list[Pair]:
        """See `EventLedger.match`; here it is one query for all the events."""
        values = {
            "ids": [claim.id for claim in claims],
            "types": [claim.content_type_id for claim in claims],
            "keys": [claim.object_id for claim in claims],
            "actions": [claim.action for claim in claims],
            "after": [claim.fanned_to for claim in claims],
            "until": [claim.hooks_until for claim in claims],
            "any": ANY_ACTION,
            "limit": limit,
        }
        rows = self._run(_MATCH.format(hook=_table(Hook)), values)
        return [Pair(*row) for row in rows]

    def _due_in_turns(self, limit: int, now: datetime) -> list[Due]:
        values = {"now": now, "limit": limit, "window": limit * WINDOW}
        return [Due(*row) for row in self._run(_DUE.format(delivery=_table(Delivery)), values)]

    def _insert_deliveries(self, settled: Sequence[Settled], now: datetime) -> dict[Pair, int]:
        return self._write(_INSERT, settled, now)

    def _update_deliveries(
        self, settled: Sequence[Settled], ring: Ring, now: datetime
    ) -> dict[Pair, int]:
        return self._write(_UPDATE, settled, now, owner=ring.batch_id)

    def _write(
        self, statement: str, settled: Sequence[Settled], now: datetime, **values: Any
    ) -> dict[Pair, int]:
        """Run a statement over the rows of outcomes; returns the keys that it wrote."""
        if not settled:
            return {}
        rows = [(one.owed.event_id, one.owed.hook_id, *outcome_row(one, now)) for one in settled]
        columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
        alike = set()
        for name, column in columns.items():
            if name != _NEVER_ALIKE and len(set(column)) == 1:
                alike.add(name)
                values[name] = column[0]
            else:
                values[name] = bigints(column) if name in _KEYS else list(column)
        sql = statement.format(delivery=_table(Delivery), rows=_rows(alike))
        written = self._run(sql, values)
        return {Pair(event_id, hook_id): pk for event_id, hook_id, pk in written}

    def _run(self, statement: str, values: Any) -> list[tuple[Any, ...]]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _rows(alike: Collection[str]) -> str:
    """The rows of outcomes as a query: a column that is the same in all of them is sent once."""
    arrays = [name for name in _COLUMNS if name not in alike]
    taken = ", ".join(
        f"%({name})s::{kind} AS {name}" if name in alike else f"v.{name}"
        for name, kind in _COLUMNS.items()
    )
    unnested = ", ".join(f"%({name})s::{_COLUMNS[name]}[]" for name in arrays)
    return f"SELECT {taken} FROM unnest({unnested}) AS v({', '.join(arrays)})"  # noqa: S608


@lru_cache(maxsize=2)
def _recording(*, ask: bool) -> tuple[list[str], str]:
    """The attributes of an event that are written as they are, and the statement that does it.

    Each is the name of its column, too.
    """
    names = [field.attname for field in Event._meta.concrete_fields]
    names = [name for name in names if name not in ("id", "hooks_until", "due_at")]
    sql = _RECORD.format(
        event=_table(Event),
        hook=_table(Hook),
        names=", ".join(f'"{name}"' for name in names),
        values=", ".join(f"%({name})s" for name in names),
        condition=_LISTENS.format(hook=_table(Hook)) if ask else "true",
    )
    return names, sql


def _table(model: type[Batch | Delivery | Event | Hook]) -> str:
    return f'"{model._meta.db_table}"'
