"""Recording, of which every save waits for the one statement."""

from functools import lru_cache

from doh.journal.postgres.statements import Statements, quoted, table
from doh.journal.recording import RecordLedger
from doh.models import Event, Hook
from doh.querysets import ANY_ACTION

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
        return bool(self._run(_HEARD.format(hook=table(Hook)), values))

    def record(self, event: Event, *, ask: bool = False) -> bool:
        """See `RecordLedger.record`; here it is one statement, asked or not."""
        names, sql = _recording(ask=ask)
        values = {name: getattr(event, name) for name in names}
        rows = self._run(sql, {**values, "any_action": ANY_ACTION})
        if rows:
            ((event.pk,),) = rows
        return bool(rows)


@lru_cache(maxsize=2)
def _recording(*, ask: bool) -> tuple[list[str], str]:
    """The attributes of an event that are written as they are, and the statement that does it.

    Each is the name of its column, too.
    """
    names = [field.attname for field in Event._meta.concrete_fields]
    names = [name for name in names if name not in ("id", "hooks_until", "due_at")]
    sql = _RECORD.format(
        event=table(Event),
        hook=table(Hook),
        names=quoted(names),
        values=", ".join(f"%({name})s" for name in names),
        condition=_LISTENS.format(hook=table(Hook)) if ask else "true",
    )
    return names, sql
