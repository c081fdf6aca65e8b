"""What all the statements stand on: a cursor, and the names of the tables."""

from collections.abc import Iterable
from typing import Any

from django.db import ProgrammingError, connections
from django.db.models import Model

from doh.journal.ledger import Ledger
from doh.journal.postgres.functions import Function, forget, is_usable


class Statements(Ledger):
    """The ledger, spoken to in SQL."""

    def _run(self, statement: str, values: Any) -> list[tuple[Any, ...]]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def _call(self, function: Function, values: Any) -> list[tuple[Any, ...]]:
        """Run a statement by its function, where there is one."""
        if not is_usable(self.alias, function):
            return self._run(function.otherwise or function.statement, values)
        try:
            return self._run(function.call, values)
        except ProgrammingError:
            forget()
            raise

    def _execute(self, statement: str, values: Any) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, values)


def table(model: type[Model]) -> str:
    """The quoted name of a model's table."""
    return f'"{model._meta.db_table}"'


def quoted(names: Iterable[str]) -> str:
    """Columns by the names of their attributes, which are their own."""
    return ", ".join(f'"{name}"' for name in names)
