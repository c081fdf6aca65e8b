"""Recording, of which every save waits for the one statement."""

from functools import cache

from doh.journal.postgres.functions import Function, kinds
from doh.journal.postgres.statements import Statements, quoted, table
from doh.journal.recording import RecordLedger
from doh.journal.records import NewEvent
from doh.models import Event, Hook
from doh.querysets import ANY_ACTION

_ANY = """(
    SELECT id FROM {{hook}} WHERE content_type_id = %(content_type_id)s AND object_id {object}
    AND action IN (%(action)s, %(any_action)s) AND disabled_at IS NULL
    ORDER BY action, id LIMIT 1
) IS NOT NULL"""
# In the order of the index, so that it is used. With EXISTS, PostgreSQL reads the table from its
# beginning where most hooks are those of one object: all that stand before them.
_LISTENS = " OR ".join(_ANY.format(object=key) for key in ("= %(object_id)s", "IS NULL"))
_HEARD = f"SELECT 1 WHERE {_LISTENS}"
# The same as max(id), which takes longer to plan.
_LAST = "SELECT id FROM {hook} ORDER BY id DESC LIMIT 1"
# A value that is handed over takes time to write: what is the same for all is said here.
_RECORD = """
    INSERT INTO {event} ({names}, epoch, tries, fanned_to, pending, hooks_until, due_at)
    SELECT {values}, 0, 0, 0, 0, coalesce(({last}), 0), statement_timestamp()
    WHERE {condition}
    RETURNING id
"""


class PostgresRecords(Statements, RecordLedger):
    """A save's part of the journal."""

    def is_heard(self, content_type_id: int, object_id: str, action: str) -> bool:
        """See `RecordLedger.is_heard`."""
        values = {
            "content_type_id": content_type_id,
            "object_id": object_id,
            "action": action,
            "any_action": ANY_ACTION,
        }
        return bool(self._call(is_heard(self.alias), values))

    def record(self, new: NewEvent, *, ask: bool = False) -> int | None:
        """See `RecordLedger.record`; here it is one statement, asked or not."""
        function = record(self.alias, ask=ask)
        rows = self._call(function, new._asdict() | {"any_action": ANY_ACTION})
        return rows[0][0] if rows else None


@cache
def is_heard(alias: str) -> Function:
    """Whether anybody listens."""
    takes = kinds(alias, Hook, ("content_type_id", "object_id", "action"))
    statement = _HEARD.format(hook=table(Hook))
    return Function("is_heard", statement, takes | {"any_action": "text"}, ["int"])


@cache
def record(alias: str, *, ask: bool) -> Function:
    """Write an event; if asked to, only where somebody listens."""
    statement = _RECORD.format(
        event=table(Event),
        last=_LAST.format(hook=table(Hook)),
        names=quoted(NewEvent._fields),
        values=", ".join(f"%({name})s" for name in NewEvent._fields),
        condition=_LISTENS.format(hook=table(Hook)) if ask else "true",
    )
    takes = kinds(alias, Event, NewEvent._fields) | ({"any_action": "text"} if ask else {})
    return Function("record_if_heard" if ask else "record", statement, takes, ["bigint"])
