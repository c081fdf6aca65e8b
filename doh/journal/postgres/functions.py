"""Functions in the database, by which PostgreSQL keeps the plans of what is said all the time.

To parse and to plan a statement takes PostgreSQL two thirds of what it spends on one event. A
function plans once for as long as a connection lives. So does a prepared statement, but that is of
no use behind a pooler that gives each transaction another connection.

``migrate`` creates them. Where they are missing, the statements are said as they are, or as such
that need no certain plan: nothing but time depends on them. The name of each ends with the digest
of what it does, so that code calls what was written for it, or nothing; while releases of two ages
run, each has its own.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from django.db import connections
from django.db.models import Model

# The plan must suit whatever values and however many rows. To read all of a table is the quickest
# way while that is empty, and would stay in use when it has filled. So a function joins no table
# to another by choice of the planner's, and has one index to find rows by, in its order: a bitmap
# would be made of all the events of a burst for each few of them, those that are done included.
_DEFINITION: Final = """
CREATE OR REPLACE FUNCTION {name}({takes}) RETURNS TABLE ({gives}) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_bitmapscan = off AS $doh$
#variable_conflict use_column
BEGIN
    RETURN QUERY {statement};
END
$doh$
"""
_USABLE: Final = r"""
    SELECT proname FROM pg_proc
    WHERE proname LIKE 'doh\_%' AND pg_function_is_visible(oid)
      AND has_function_privilege(oid, 'EXECUTE')
"""
_usable: dict[tuple[str, str], frozenset[str]] = {}


@dataclass(frozen=True)
class Function:
    """A statement, its values and the types of those, and the types of what it returns.

    All types are PostgreSQL's. ``title`` is what people see of it in the database's statistics.
    ``otherwise`` is what to say where it is missing, if its statement needs how a function runs.
    """

    title: str
    statement: str
    takes: Mapping[str, str]
    gives: Sequence[str]
    otherwise: str | None = None

    @cached_property
    def name(self) -> str:
        """Its name in the database."""
        digest = hashlib.sha256(self._defined_as("").encode()).hexdigest()
        return f"doh_{self.title}_{digest[:8]}"

    @cached_property
    def definition(self) -> str:
        """The statement that creates it."""
        return self._defined_as(self.name)

    @cached_property
    def call(self) -> str:
        """The statement that calls it with the very values that its own statement takes."""
        values = ", ".join(f"%({name})s" for name in self.takes)
        return f"SELECT * FROM {self.name}({values})"  # noqa: S608

    def _defined_as(self, name: str) -> str:
        places = {value: f"${place}" for place, value in enumerate(self.takes, 1)}
        return _DEFINITION.format(
            name=name,
            takes=", ".join(self.takes.values()),
            gives=", ".join(f"c{place} {kind}" for place, kind in enumerate(self.gives)),
            statement=self.statement % places,
        )


def kinds(alias: str, model: type[Model], names: Iterable[str]) -> dict[str, str]:
    """PostgreSQL's types of a model's columns, without their lengths."""
    fields = {name: model._meta.get_field(name) for name in names}
    of = connections[alias]
    return {name: str(field.db_type(of)).partition("(")[0] for name, field in fields.items()}


def is_usable(alias: str, function: Function) -> bool:
    """Whether a function is in the database; a process asks once for all of them."""
    key = alias, str(connections[alias].settings_dict["NAME"])
    usable = _usable.get(key)
    if usable is None:
        usable = _usable[key] = _find_usable(alias)
    return function.name in usable


def forget() -> None:
    """Ask again: another server may have taken this one's place, without its functions."""
    _usable.clear()


def create(alias: str, functions: Iterable[Function]) -> None:
    """Create those that are not there; raises DatabaseError."""
    usable = _find_usable(alias)
    with connections[alias].cursor() as cursor:
        for function in functions:
            if function.name not in usable:
                cursor.execute(function.definition)
    forget()


def _find_usable(alias: str) -> frozenset[str]:
    connection = connections[alias]
    connection.ensure_connection()
    # Past Django's cursor: it is no part of the save, or of whatever else happened to come first.
    with connection.wrap_database_errors, connection.connection.cursor() as cursor:
        cursor.execute(_USABLE)
        return frozenset(name for (name,) in cursor.fetchall())
