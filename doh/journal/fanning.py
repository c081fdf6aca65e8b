"""The fan-out of events that are few, or have few hooks: in one transaction, without a claim."""

from collections import Counter
from datetime import datetime, timedelta

from django.db import transaction

from doh.again import again
from doh.journal.events import CLAIMED, EventLedger
from doh.journal.records import EventClaim, FannedOut


class FanningLedger(EventLedger):
    """The part of the journal that fans out at once."""

    @again
    def fan_out_at_once(
        self, deliverer: str, limit: int, most: int, *, batch_size: int, queue_lease: float
    ) -> FannedOut | None:
        """Pass all that up to ``limit`` due events of a deliverer owe to batches.

        They are held by their locks for so long, which saves a claim: a third of what an event
        costs the ledger. Nobody can die of it alone, since no code of the project runs in it.
        What somebody has claimed before is left to those who claim. None, and nothing is done, if
        they owe more than ``most`` pairs.
        """
        with transaction.atomic(using=self.alias):
            found = self._fresh(deliverer, limit)
            if found is None:
                return FannedOut()
            events, now = found
            pairs = self.match(events, most + 1)
            if len(pairs) > most:
                return None
            rings = self._write_batches(pairs, batch_size, now + timedelta(seconds=queue_lease))
            counts = Counter(pair.event_id for pair in pairs)
            self._close_fan_out([event.id for event in events], counts, now)
        traces = frozenset(event.traceparent for event in events if event.traceparent)
        return FannedOut(len(events), traces, tuple(rings))

    def begins_fresh(self, deliverer: str) -> bool:
        """Whether what is due first is an event that `fan_out_at_once` takes.

        If not, it was claimed before or is another deliverer's, and would wait for ever while
        fresh ones never cease.
        """
        due = self._events().filter(fanned_at=None, finished_at=None, due_at__lte=self.now())
        first = due.order_by("due_at").values_list("epoch", "deliverer")[:1]
        return list(first) == [(0, deliverer)]

    def _fresh(self, deliverer: str, limit: int) -> tuple[list[EventClaim], datetime] | None:
        """Lock due events of a deliverer that nobody has claimed yet; the database's time, too."""
        now = self.now()
        due = self._events().filter(
            fanned_at=None, finished_at=None, due_at__lte=now, epoch=0, deliverer=deliverer
        )
        rows = self._lock(due.order_by("due_at"), skip=True).values_list(*CLAIMED)[:limit]
        events = [EventClaim(*row) for row in rows]
        return (events, now) if events else None
