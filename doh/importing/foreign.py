"""What another package's tables hold, in our words; the package itself need not be installed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connections

from doh.exceptions import HookError

#: Rows that are read at once.
CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Foreign:
    """A hook of another package: every object of one model, one action, one target.

    ``secret`` None means that it had none: the hook gets a fresh one.
    """

    name: str
    user_id: Any
    label: str
    action: str
    target: str = field(repr=False)
    active: bool = True
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Skipped:
    """One that can't be taken over, and why."""

    name: str
    why: str


class NoTableError(HookError):
    """The other package's table is not there."""


def rows_of(alias: str, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    """A table's rows in chunks, by its ``id``, which is the first of the columns.

    Raises `NoTableError`.
    """
    connection = connections[alias]
    if table not in connection.introspection.table_names():
        raise NoTableError(f"There is no table {table!r} in the database {alias!r}.")
    quote = connection.ops.quote_name
    names = ", ".join(map(quote, columns))
    query = f"SELECT {names} FROM {quote(table)} WHERE id > %s ORDER BY id LIMIT {CHUNK}"  # noqa: S608
    last = 0
    while found := _fetch(alias, query, [last]):
        yield found
        last = found[-1][0]


def rows_for(alias: str, query: str, ids: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a query whose ``{ids}`` are these."""
    marks = ", ".join(["%s"] * len(ids))
    return _fetch(alias, query.format(ids=marks), list(ids))


def _fetch(alias: str, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
