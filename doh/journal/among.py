"""Rows by their keys, of which there are hundreds."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db.models import F, Lookup
from django.db.models.lookups import In

if TYPE_CHECKING:
    _Lookup = Lookup[int]
else:
    _Lookup = Lookup


class Among(_Lookup):
    """Whether a key is one of some: ``filter(among(ids))`` is ``filter(pk__in=ids)``.

    PostgreSQL is given one array. With a parameter for each key the statement takes longer to
    write, to send and to read than to run.
    """

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """As the ORM has it."""
        return In(self.lhs, self.rhs).as_sql(compiler, connection)

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """As one array."""
        keys, params = self.process_lhs(compiler, connection)
        return f"{keys} = ANY(%s::bigint[])", (*params, bigints(self.rhs))


def bigints(numbers: Iterable[int]) -> str:
    """Numbers as the text of a PostgreSQL array: the driver would look at each one's type."""
    return f"{{{','.join(map(str, numbers))}}}"


def among(ids: Iterable[int], column: str = "pk") -> Among:
    """The condition that a column of a table's own is one of some numbers."""
    return Among(F(column), list(ids))
