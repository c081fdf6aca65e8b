"""Recording: whether anybody listens, and the event's row in the transaction that caused it."""

from django.db.models import Subquery
from django.db.models.functions import Coalesce

from doh.clock import DatabaseNow
from doh.journal.ledger import Ledger
from doh.journal.records import NewEvent
from doh.models import Event, Hook


class RecordLedger(Ledger):
    """The part of the journal that a save waits for."""

    def is_heard(self, content_type_id: int, object_id: str, action: str) -> bool:
        """Whether an enabled hook listens: one indexed EXISTS."""
        hooks = Hook.objects.using(self.alias).listening(content_type_id, object_id, action)
        return hooks.filter(disabled_at=None).exists()

    def record(self, new: NewEvent, *, ask: bool = False) -> int | None:
        """INSERT an event, due at once by the database's clock; returns its key.

        With ``ask`` only if an enabled hook listens; None if none does.
        """
        if ask and not self.is_heard(new.content_type_id, new.object_id, new.action):
            return None
        event = Event(
            **new._asdict(),
            hooks_until=Coalesce(Subquery(Hook.objects.order_by("-pk").values("pk")[:1]), 0),
            due_at=DatabaseNow(),
        )
        event.save(using=self.alias, force_insert=True)
        return event.pk
