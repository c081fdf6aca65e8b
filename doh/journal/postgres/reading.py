"""Reading what is to be sent: both rooms of it by their keys."""

import json
from collections.abc import Iterable
from typing import Any, Final

from doh.journal.among import bigints
from doh.journal.postgres.statements import Statements, quoted, table
from doh.journal.reading import HOOK_COLUMNS, ReadLedger
from doh.journal.records import EventRow
from doh.models import Event, Hook

_HOOKS: Final = f"SELECT {quoted(HOOK_COLUMNS)} FROM {{hook}} WHERE id = ANY(%(ids)s::bigint[])"  # noqa: S608
_EVENTS: Final = (
    f"SELECT {quoted(EventRow._fields)} FROM {{event}} WHERE id = ANY(%(ids)s::bigint[])"  # noqa: S608
)


class PostgresReading(Statements, ReadLedger):
    """The part of the journal that reads what is to be sent."""

    def read_hooks(self, ids: Iterable[int]) -> Iterable[tuple[Any, ...]]:
        """See `ReadLedger.read_hooks`."""
        rows = self._run(_HOOKS.format(hook=table(Hook)), {"ids": bigints(ids)})
        # The schedule comes last, and nearly always is that of the settings.
        return [row if row[-1] is None else (*row[:-1], json.loads(row[-1])) for row in rows]

    def read_events(self, ids: Iterable[int]) -> dict[int, EventRow]:
        """See `ReadLedger.read_events`."""
        rows = self._run(_EVENTS.format(event=table(Event)), {"ids": bigints(ids)})
        return {row[0]: EventRow._make(row) for row in rows}
