"""Fanning out: what is fresh and small in one statement, and the rest slice by slice."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Final

from doh.again import again
from doh.journal.among import bigints
from doh.journal.fanning import FanningLedger
from doh.journal.packing import dump_pairs, pack
from doh.journal.postgres.functions import Function
from doh.journal.postgres.statements import Statements, table
from doh.journal.records import EventClaim, FannedOut, Ring
from doh.models import Batch, Event, Hook
from doh.querysets import ANY_ACTION
from doh.types import Pair

_IS_DUE: Final = "fanned_at IS NULL AND due_at <= statement_timestamp()"
# In the order of the index, so that it is used: while statistics tell of a burst PostgreSQL would
# read the table from its beginning, all the events that are done, to find the first due one.
_HAS_DUE: Final = f"SELECT 1 FROM {{event}} WHERE {_IS_DUE} ORDER BY due_at LIMIT 1"  # noqa: S608
_HAS_RESULTS: Final = """
    SELECT 1 FROM {event}
    WHERE due_at <= statement_timestamp()
      AND fanned_at IS NOT NULL AND finished_at IS NULL AND pending = 0
    ORDER BY due_at LIMIT 1
"""


def _ranges(bounds: str, order: str, if_wide: str = "true") -> str:
    """Four per event: hooks of its own and of the whole model, for its action and for any.

    ``if_wide`` is whether the latter are worth a look.
    """
    return "\n        UNION ALL".join(
        f"""
        (SELECT id FROM {{hook}}
         WHERE {met} AND content_type_id = e.content_type_id AND object_id {key}
           AND {bounds.replace("{action}", action)} AND {condition} AND disabled_at IS NULL
           AND (expires_at IS NULL OR expires_at > clock_timestamp())
         ORDER BY {order} LIMIT %(limit)s)"""  # noqa: S608
        for key, met in (("= e.object_id", "true"), ("IS NULL", if_wide))
        for action, condition in (("e.action", "true"), ("%(any)s", "e.action <> %(any)s"))
    )


# Between two bare bounds of the id PostgreSQL expects a two-hundredth of the table, and in its
# order the right rows soon: so it goes by the primary key, past the hooks of all other objects.
# These are bounds of one index alone.
_OF_ONE_ACTION: Final = "(action, id) > ({action}, e.after) AND (action, id) <= ({action}, e.until)"
_BY_ACTION: Final = "object_id, action, id"
_FRESH: Final = _ranges(_OF_ONE_ACTION, _BY_ACTION)
_FRESH_AT_ONCE: Final = _ranges(_OF_ONE_ACTION, _BY_ACTION, "(SELECT is_any FROM wide)")
# An event that a slice has cut has many hooks. Here ranges are known to be in order, so they are
# merged and no more is read than taken; those above may be read in whole first, and sorted.
_CUT: Final = _ranges("action = {action} AND id > e.after AND id <= e.until", "id")
_MATCH: Final = """
    SELECT e.id, h.id
    FROM unnest(%(ids)s::bigint[], %(types)s::int[], %(keys)s::text[], %(actions)s::text[],
                %(after)s::bigint[], %(until)s::bigint[]) WITH ORDINALITY
         AS e(id, content_type_id, object_id, action, after, until, place)
    CROSS JOIN LATERAL ({ranges}
        ORDER BY id LIMIT %(limit)s
    ) AS h
    ORDER BY e.place, h.id
    LIMIT %(limit)s
"""
# From due events to batches in one go, if these are all that is owed; if not, nothing is written.
# An event without hooks is a row, too: so what becomes of each is known without another join. Nor
# are events joined to be closed: a plan that was made while there were none may read all of them.
# Numbers are found by the place of an id among the ids, pairs are put together as text, and hooks
# of whole models are looked for if there are any: that takes a fifth off the time of all of it.
_NUMBER: Final = "(SELECT numbers FROM found)[width_bucket(id, (SELECT ids FROM found))]"
_AT_ONCE: Final = f"""
    WITH fresh AS MATERIALIZED (
        SELECT id, content_type_id, object_id, action, fanned_to AS after, hooks_until AS until,
               due_at, traceparent
        FROM {{event}}
        WHERE {_IS_DUE} AND finished_at IS NULL AND epoch = 0 AND deliverer = %(deliverer)s
        ORDER BY due_at LIMIT %(events)s
        FOR UPDATE SKIP LOCKED
    ), wide AS MATERIALIZED (
        SELECT EXISTS (
            SELECT FROM {{hook}}
            WHERE content_type_id = ANY (ARRAY (SELECT DISTINCT content_type_id FROM fresh))
              AND object_id IS NULL
        ) AS is_any
    ), owed AS MATERIALIZED (
        SELECT *, row_number() OVER (ORDER BY due_at, event_id, hook_id) AS place
        FROM (
            SELECT e.id AS event_id, h.id AS hook_id, e.due_at, e.traceparent
            FROM fresh AS e LEFT JOIN LATERAL ({_FRESH_AT_ONCE}
                LIMIT %(limit)s
            ) AS h ON true
            LIMIT %(limit)s
        ) AS o
    ), found AS MATERIALIZED (
        SELECT coalesce(sum(pairs), 0) < %(limit)s AS is_all, count(*) AS events,
               array_agg(DISTINCT traceparent) FILTER (WHERE traceparent IS NOT NULL) AS traces,
               array_agg(event_id ORDER BY event_id) AS ids,
               array_agg(hooks ORDER BY event_id) AS numbers
        FROM (
            SELECT event_id, traceparent, count(*) AS pairs, count(hook_id) AS hooks
            FROM owed GROUP BY event_id, traceparent
        ) AS o
    ), closed AS (
        UPDATE {{event}}
        SET fanned_at = statement_timestamp(), due_at = NULL, pending = {_NUMBER},
            finished_at = CASE {_NUMBER} WHEN 0 THEN statement_timestamp() END,
            snapshot = CASE WHEN {_NUMBER} > 0 THEN snapshot END
        WHERE id = ANY (ARRAY (SELECT id FROM fresh WHERE (SELECT is_all FROM found)))
    ), written AS (
        INSERT INTO {{batch}} (pairs, created_at, due_at, epoch, tries)
        SELECT ('[' || string_agg(pairs, ',' ORDER BY place) || ']')::jsonb, statement_timestamp(),
               statement_timestamp() + make_interval(secs => %(queue_lease)s), 0, 0
        FROM found, (
            SELECT (place - 1) / %(size)s AS part, min(place) AS place,
                   format('[%%s,[%%s]]', event_id, string_agg(hook_id::text, ',' ORDER BY place))
                       AS pairs
            FROM owed WHERE hook_id IS NOT NULL GROUP BY part, event_id
        ) AS o
        WHERE is_all
        GROUP BY part ORDER BY part
        RETURNING id, epoch
    )
    SELECT is_all, events, traces, id, epoch FROM found LEFT JOIN written ON true ORDER BY id
"""  # noqa: S608

_WRITE: Final = """
    INSERT INTO {batch} (pairs, created_at, due_at, epoch, tries)
    SELECT pairs::jsonb, statement_timestamp(), %(due)s, 0, 0
    FROM unnest(%(pairs)s::text[]) AS pairs
    RETURNING id, epoch
"""
_CLOSE: Final = """
    UPDATE {event} AS e
    SET pending = e.pending + c.number, fanned_at = %(now)s, due_at = NULL
    FROM unnest(%(ids)s::bigint[], %(numbers)s::bigint[]) AS c(id, number)
    WHERE e.id = c.id
"""


class PostgresFanning(Statements, FanningLedger):
    """The part of the journal that fans out."""

    def claim_events(
        self, limit: int, lease: float, ids: Collection[int] | None = None
    ) -> list[EventClaim]:
        """See `EventLedger.claim_events`; nearly always there is none, which is soon said."""
        if ids is None and not self.has_due_events():
            return []
        return super().claim_events(limit, lease, ids)

    def has_due_events(self) -> bool:
        """See `EventLedger.has_due_events`."""
        return bool(self._run(_HAS_DUE.format(event=table(Event)), {}))

    def has_due_results(self) -> bool:
        """See `EventLedger.has_due_results`."""
        return bool(self._run(_HAS_RESULTS.format(event=table(Event)), {}))

    def match(self, claims: Sequence[EventClaim], limit: int) -> list[Pair]:
        """See `EventLedger.match`; here it is one query for all the events between two cut ones."""
        found: list[Pair] = []
        for is_cut, alike in groupby(claims, key=lambda claim: claim.fanned_to > 0):
            if len(found) < limit:
                found += self._match(alike, _CUT if is_cut else _FRESH, limit - len(found))
        return found

    def _match(self, claims: Iterable[EventClaim], ranges: str, limit: int) -> list[Pair]:
        rows = [
            (c.id, c.content_type_id, c.object_id, c.action, c.fanned_to, c.hooks_until)
            for c in claims
        ]
        names = ("ids", "types", "keys", "actions", "after", "until")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        query = _MATCH.format(ranges=ranges.format(hook=table(Hook)))
        found = self._run(query, columns | {"any": ANY_ACTION, "limit": limit})
        return [Pair(*row) for row in found]

    @again
    def fan_out_at_once(
        self, deliverer: str, limit: int, most: int, *, batch_size: int, queue_lease: float
    ) -> FannedOut | None:
        """See `FanningLedger.fan_out_at_once`; here it is one statement, and its own transaction.

        An event is cut in two where a batch is full. One without hooks counts as a pair.
        """
        values = {
            "deliverer": deliverer,
            "events": limit,
            "limit": most + 1,
            "size": batch_size,
            "queue_lease": queue_lease,
            "any": ANY_ACTION,
        }
        rows = self._call(fan_out(), values)
        is_all, events, traces = rows[0][:3]
        if not is_all:
            return None
        rings = tuple(Ring(*row[3:]) for row in rows if row[3] is not None)
        return FannedOut(events, frozenset(traces or ()), rings)

    def _write_batches(self, pairs: Sequence[Pair], size: int, due: datetime) -> list[Ring]:
        parts = [json.dumps(dump_pairs(part)) for part in pack(pairs, size)]
        if not parts:
            return []
        rows = self._run(_WRITE.format(batch=table(Batch)), {"pairs": parts, "due": due})
        return [Ring(*row) for row in rows]

    def _close_fan_out(
        self, event_ids: Collection[int], counts: Counter[int], now: datetime
    ) -> None:
        waiting = [event_id for event_id in event_ids if counts[event_id]]
        if waiting:
            values = {
                "ids": bigints(waiting),
                "numbers": bigints(counts[event_id] for event_id in waiting),
                "now": now,
            }
            self._execute(_CLOSE.format(event=table(Event)), values)
        super()._close_fan_out(set(event_ids).difference(waiting), counts, now)


@cache
def fan_out() -> Function:
    """Pass what due events owe to batches."""
    numbers = dict.fromkeys(("events", "limit", "size"), "bigint")
    return Function(
        "fan_out",
        _AT_ONCE.format(event=table(Event), hook=table(Hook), batch=table(Batch)),
        {"deliverer": "text", **numbers, "queue_lease": "float", "any": "text"},
        ["boolean", "bigint", "varchar[]", "bigint", "int"],
    )
