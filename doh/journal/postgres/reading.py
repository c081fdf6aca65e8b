"""Reading what is to be sent: both rooms of it by their keys."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from django.contrib.auth import get_user_model

from doh.journal.among import bigints
from doh.journal.postgres.functions import Function, kinds
from doh.journal.postgres.statements import Statements, quoted, table
from doh.journal.reading import HOOK_COLUMNS, ReadLedger, active_column
from doh.journal.records import EventRow
from doh.models import Event, Hook

_HOOKS: Final = f"""
    SELECT {", ".join(f'h."{name}"' for name in HOOK_COLUMNS)}, {{active}}
    FROM {{hook}} AS h {{owner}}
    WHERE h.id = ANY(%(ids)s::bigint[])
"""  # noqa: S608
_EVENTS: Final = (
    f"SELECT {quoted(EventRow._fields)} FROM {{event}} WHERE id = ANY(%(ids)s::bigint[])"  # noqa: S608
)


class PostgresReading(Statements, ReadLedger):
    """The part of the journal that reads what is to be sent."""

    def read_hooks(self, ids: Iterable[int]) -> Iterable[tuple[Any, ...]]:
        """See `ReadLedger.read_hooks`."""
        rows = self._run(_of_hooks(), {"ids": bigints(ids)})
        # The schedule stands before the owner's flag, and nearly always is that of the settings.
        return [
            row if row[-2] is None else (*row[:-2], json.loads(row[-2]), row[-1]) for row in rows
        ]

    def read_events(self, ids: Iterable[int]) -> dict[int, EventRow]:
        """See `ReadLedger.read_events`."""
        rows = self._call(read_events(self.alias), {"ids": bigints(ids)})
        return {row[0]: EventRow._make(row) for row in rows}


@cache
def read_events(alias: str) -> Function:
    """Events by their keys.

    Without statistics, or with those of a quieter hour, PostgreSQL would read the whole table for
    each batch of a burst.
    """
    gives = [*kinds(alias, Event, EventRow._fields).values()]
    return Function("read_events", _EVENTS.format(event=table(Event)), {"ids": "bigint[]"}, gives)


def _of_hooks() -> str:
    """The statement that reads hooks, with their owners where those have a column for it."""
    column, users = active_column(), get_user_model()
    if column is None:
        return _HOOKS.format(hook=table(Hook), active="NULL", owner="")
    return _HOOKS.format(
        hook=table(Hook),
        active=f'u."{column}"',
        owner=f'JOIN {table(users)} AS u ON u."{users._meta.pk.column}" = h.user_id',
    )
