"""The flush, whose writes are one statement each."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from doh.journal.among import bigints
from doh.journal.flushing import OUTCOME_COLUMNS, FlushLedger, outcome_row
from doh.journal.ledger import Ids
from doh.journal.postgres.functions import Function
from doh.journal.postgres.statements import Statements, table
from doh.journal.records import Ring, Settled
from doh.models import Batch, Delivery, Event

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
_INTO = f"INSERT INTO {{delivery}} ({_NAMES}) {{rows}}"
_RETURNING: Final = "RETURNING event_id, hook_id, id"
_INSERT: Final = f"{_INTO} {_RETURNING}"
_INSERT_MISSING: Final = f"{_INTO} ON CONFLICT (event_id, hook_id) DO NOTHING {_RETURNING}"
#: To ask for each row whether it is there takes a quarter of the time of its INSERT. So many rows
#: ask; if one of more is there, all of these are refused, and written by halves until they are few.
_FEW: Final = 50
_UPDATE = f"""
    UPDATE {{delivery}} AS d SET {", ".join(f"{name} = v.{name}" for name in OUTCOME_COLUMNS)}
    FROM ({{rows}}) AS v
    WHERE d.event_id = v.event_id AND d.hook_id = v.hook_id AND d.batch_id = %(owner)s
    RETURNING d.event_id, d.hook_id, d.id
"""  # noqa: S608
_LOCK: Final = """
    SELECT statement_timestamp() FROM {batch} WHERE id = %(id)s AND epoch = %(epoch)s FOR UPDATE
"""
_END: Final = "DELETE FROM {batch} WHERE id = %(id)s AND epoch = %(epoch)s"
#: Ids are given in their order: this is where one stands among them.
_NUMBER: Final = "(%(numbers)s::bigint[])[width_bucket(id, %(ids)s::bigint[])]"
_IS_LAST: Final = f"fanned_at IS NOT NULL AND pending = {_NUMBER}"
# What is locked is not joined to what is changed: PostgreSQL would read all of a ledger that is
# not large, twice. What costs most to tell is asked last.
_COUNT_OFF: Final = f"""
    WITH named AS MATERIALIZED ({{named}}), counted AS (
        UPDATE {{event}}
        SET pending = pending - {_NUMBER},
            due_at = CASE WHEN result_hook AND {_IS_LAST} THEN %(now)s ELSE due_at END,
            finished_at =
                CASE WHEN NOT result_hook AND {_IS_LAST} THEN %(now)s ELSE finished_at END,
            snapshot = CASE
                WHEN snapshot IS NULL OR NOT result_hook AND {_IS_LAST} THEN NULL ELSE snapshot
            END
        WHERE id = ANY (ARRAY (SELECT id FROM named))
        RETURNING id, result_hook AND fanned_at IS NOT NULL AND pending = 0 AS is_loud
    )
    SELECT id FROM counted WHERE is_loud
"""  # noqa: S608
# Events are changed in the order of their ids, as everywhere. A function goes by the primary key,
# and so in that order; any other plan may not, so that they are locked in it first.
_IN_ORDER: Final = "SELECT unnest(%(ids)s::bigint[]) AS id"
_LOCKED: Final = """
    SELECT id FROM {event} WHERE id = ANY (%(ids)s::bigint[]) ORDER BY id FOR UPDATE
"""


class PostgresFlushing(Statements, FlushLedger):
    """The part of the journal that writes outcomes."""

    def _lock_batch(self, ring: Ring) -> datetime | None:
        rows = self._run(_LOCK.format(batch=table(Batch)), _named(ring))
        return rows[0][0] if rows else None

    def _end_batch(self, ring: Ring) -> None:
        self._execute(_END.format(batch=table(Batch)), _named(ring))

    def _count_off(self, firsts: Mapping[int, int], now: datetime) -> tuple[int, ...]:
        ids = sorted(firsts)
        numbers = bigints(firsts[one] for one in ids)
        rows = self._call(count_off(), {"ids": bigints(ids), "numbers": numbers, "now": now})
        return tuple(event_id for (event_id,) in rows)

    def _insert_deliveries(self, settled: Sequence[Settled], now: datetime) -> Ids:
        insert = _INSERT if len(settled) > _FEW else _INSERT_MISSING
        return self._write(insert, settled, now)

    def _update_deliveries(self, settled: Sequence[Settled], ring: Ring, now: datetime) -> Ids:
        return self._write(_UPDATE, settled, now, owner=ring.batch_id)

    def _write(
        self, statement: str, settled: Sequence[Settled], now: datetime, **values: Any
    ) -> Ids:
        """Run a statement over the rows of outcomes; returns the keys that it wrote."""
        if not settled:
            return {}
        rows = [(one.owed.event_id, one.owed.hook_id, *outcome_row(one, now)) for one in settled]
        columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
        alike = set()
        for name, column in columns.items():
            if name != _NEVER_ALIKE and column.count(column[0]) == len(column):
                alike.add(name)
                values[name] = column[0]
            else:
                values[name] = bigints(column) if name in _KEYS else list(column)
        sql = statement.format(delivery=table(Delivery), rows=_rows(alike))
        written = self._run(sql, values)
        return {(event_id, hook_id): pk for event_id, hook_id, pk in written}


@cache
def count_off() -> Function:
    """Lower what events wait for, and say whose result hook is due."""
    event = table(Event)
    return Function(
        "count_off",
        _COUNT_OFF.format(event=event, named=_IN_ORDER),
        {"ids": "bigint[]", "numbers": "bigint[]", "now": "timestamptz"},
        ["bigint"],
        otherwise=_COUNT_OFF.format(event=event, named=_LOCKED.format(event=event)),
    )


def _named(ring: Ring) -> dict[str, int]:
    return {"id": ring.batch_id, "epoch": ring.epoch}


def _rows(alike: Collection[str]) -> str:
    """The rows of outcomes as a query: a column that is the same in all of them is sent once."""
    arrays = [name for name in _COLUMNS if name not in alike]
    taken = ", ".join(
        f"%({name})s::{kind} AS {name}" if name in alike else f"v.{name}"
        for name, kind in _COLUMNS.items()
    )
    unnested = ", ".join(f"%({name})s::{_COLUMNS[name]}[]" for name in arrays)
    return f"SELECT {taken} FROM unnest({unnested}) AS v({', '.join(arrays)})"  # noqa: S608
