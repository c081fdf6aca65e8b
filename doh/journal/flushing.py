"""The flush: write what became of a batch's pairs, in one transaction and one lock order."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from doh.journal.again import again
from doh.journal.ledger import Ledger
from doh.journal.records import DeadLetter, Flushed, Ring, Settled
from doh.models import DETAIL_LENGTH, Attempt, Delivery, Hook

_SETTLED_FIELDS = (
    "status",
    "attempts",
    "due_at",
    "batch_id",
    "body",
    "status_code",
    "detail",
    "host",
    "updated_at",
)


class FlushLedger(Ledger):
    """The part of the journal that writes outcomes."""

    @again
    def flush(self, ring: Ring, settled: Sequence[Settled], *, done: bool) -> Flushed:
        """Write outcomes; ``done`` when nothing of the batch remains.

        Locks in one order everywhere: the batch, its deliveries by pair, its events by id, hooks.
        """
        ordered = sorted(settled, key=lambda one: (one.owed.event_id, one.owed.hook_id))
        with transaction.atomic(using=self.alias):
            if not list(self._lock(self._batch(ring)).values_list("pk")):
                return Flushed(fenced=True)
            now = self.now()
            self._insert_deliveries([one for one in ordered if one.owed.first], now)
            self._update_deliveries([one for one in ordered if not one.owed.first], ring, now)
            dead = self._write_attempts(ordered, now)
            results = self._lower_pending(ordered, now)
            self._disable_hooks(ordered, now)
            if done:
                self._batch(ring).delete()
        return Flushed(result_events=results, dead=dead)

    def _insert_deliveries(self, settled: Sequence[Settled], now: datetime) -> None:
        self._deliveries().bulk_create([_delivery(one, now) for one in settled])

    def _update_deliveries(self, settled: Sequence[Settled], ring: Ring, now: datetime) -> None:
        """Only deliveries that this batch owns: another's are not ours to settle."""
        for one in settled:
            row = _delivery(one, now)
            self._deliveries().filter(
                event_id=row.event_id, hook_id=row.hook_id, batch_id=ring.batch_id
            ).update(**{name: getattr(row, name) for name in _SETTLED_FIELDS})

    def _write_attempts(self, settled: Sequence[Settled], now: datetime) -> tuple[DeadLetter, ...]:
        """Log the POSTs that were not accepted; returns the dead letters among them."""
        failed = [one for one in settled if one.status != Delivery.Status.SUCCEEDED]
        if not failed:
            return ()
        ids = self._delivery_ids(failed)
        Attempt.objects.using(self.alias).bulk_create(
            Attempt(
                delivery_id=ids[one.owed.event_id, one.owed.hook_id],
                number=one.attempts,
                at=now,
                status_code=one.outcome.status_code,
                detail=one.outcome.detail[:DETAIL_LENGTH],
                elapsed=one.outcome.elapsed,
            )
            for one in failed
            if one.outcome.attempted and (one.owed.event_id, one.owed.hook_id) in ids
        )
        return tuple(
            DeadLetter(
                ids[one.owed.event_id, one.owed.hook_id],
                one.owed.event_id,
                one.owed.hook_id,
                one.outcome.detail,
            )
            for one in failed
            if one.status == Delivery.Status.DEAD and (one.owed.event_id, one.owed.hook_id) in ids
        )

    def _delivery_ids(self, settled: Sequence[Settled]) -> dict[tuple[int, int], int]:
        rows = self._deliveries().filter(
            event_id__in={one.owed.event_id for one in settled},
            hook_id__in={one.owed.hook_id for one in settled},
        )
        return {
            (event, hook): pk for event, hook, pk in rows.values_list("event_id", "hook_id", "pk")
        }

    def _lower_pending(self, settled: Sequence[Settled], now: datetime) -> tuple[int, ...]:
        """Count first outcomes off their events; returns the events whose result hook is due."""
        firsts = Counter(one.owed.event_id for one in settled if one.owed.first)
        if not firsts:
            return ()
        events = self._lock(self._events().filter(pk__in=firsts).order_by("pk"))
        rows = list(events.values_list("pk", "pending", "fanned_at", "result_hook"))
        by_count = defaultdict(list)
        for pk, *_ in rows:
            by_count[firsts[pk]].append(pk)
        for number, ids in by_count.items():
            self._events().filter(pk__in=ids).update(pending=F("pending") - number)
        settled_now = [
            (pk, result_hook)
            for pk, pending, fanned_at, result_hook in rows
            if fanned_at is not None and pending == firsts[pk]
        ]
        silent = [pk for pk, result_hook in settled_now if not result_hook]
        loud = [pk for pk, result_hook in settled_now if result_hook]
        self._events().filter(pk__in=silent).update(finished_at=now, snapshot=None)
        self._events().filter(pk__in=loud).update(due_at=now)
        return tuple(loud)

    def _disable_hooks(self, settled: Sequence[Settled], now: datetime) -> None:
        by_reason = defaultdict(set)
        for one in settled:
            if one.outcome.disable:
                by_reason[one.outcome.disable].add(one.owed.hook_id)
        for reason, ids in sorted(by_reason.items()):
            Hook.objects.using(self.alias).filter(pk__in=ids).order_by("pk").disable(reason, now)


def _delivery(one: Settled, now: datetime) -> Delivery:
    return Delivery(
        event_id=one.owed.event_id,
        hook_id=one.owed.hook_id,
        status=one.status,
        attempts=one.attempts,
        due_at=None if one.delay is None else now + timedelta(seconds=one.delay),
        batch_id=None,
        body=one.body,
        status_code=one.outcome.status_code,
        detail=one.outcome.detail[:DETAIL_LENGTH],
        host=one.outcome.host[:255],
        updated_at=now,
    )
