"""The flush: write what became of a batch's pairs, in one transaction and one lock order."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from doh.again import again
from doh.journal.among import among
from doh.journal.ledger import Ids, Ledger
from doh.journal.records import DeadLetter, Flushed, Ring, Settled
from doh.models import DETAIL_LENGTH, Attempt, Delivery, Hook
from doh.types import BLOCKED

#: The columns of a delivery that an outcome sets, beside its pair.
OUTCOME_COLUMNS: Final = (
    "status",
    "attempts",
    "due_at",
    "batch_id",
    "body",
    "status_code",
    "detail",
    "host",
    "blocked",
    "updated_at",
    "pending",
    "deferred_at",
    "slot_at",
    "granted",
)
#: A pair that was deferred for so long counts as having had its first outcome: somebody waits for
#: the event's result hook.
COUNTED_AFTER: Final = timedelta(hours=1)
_HOST_LENGTH = 255


class FlushLedger(Ledger):
    """The part of the journal that writes outcomes."""

    @again
    def flush(self, ring: Ring, settled: Sequence[Settled], *, done: bool) -> Flushed:
        """Write outcomes; ``done`` when nothing of the batch remains.

        Writing the same ones twice changes nothing, nor does an outcome of a pair that the batch
        does not own. Locks in one order everywhere: the batch, its deliveries by pair, its events
        by id, hooks by id.
        """
        by_keys = {(one.owed.event_id, one.owed.hook_id): one for one in settled}
        in_order = sorted(by_keys)
        ordered = [by_keys[keys] for keys in in_order]
        well = Delivery.Status.SUCCEEDED
        with transaction.atomic(using=self.alias):
            now = self._lock_batch(ring)
            if now is None:
                return Flushed(fenced=True)
            ids = self._insert_deliveries([one for one in ordered if one.owed.first], now)
            ids |= self._update_deliveries(
                [one for one in ordered if not one.owed.first], ring, now
            )
            written = [by_keys[keys] for keys in in_order if keys in ids]
            unwell = [one for one in written if one.status != well]
            self._write_attempts(unwell, ids, now)
            results = self._lower_pending(written, now)
            self._disable_hooks(unwell, now)
            if done:
                self._end_batch(ring)
            elif written:
                self._batch(ring).update(tries=0)
        dead = _dead_letters(unwell, ids)
        return Flushed(written=tuple(written), result_events=results, dead=dead)

    def _lock_batch(self, ring: Ring) -> datetime | None:
        """Lock a batch that is still ours; returns the database's time."""
        return self.now() if list(self._lock(self._batch(ring)).values_list("pk")) else None

    def _end_batch(self, ring: Ring) -> None:
        self._batch(ring).delete()

    def _insert_deliveries(self, settled: Sequence[Settled], now: datetime) -> Ids:
        """Write first outcomes; returns the keys of the deliveries that were new."""
        known = self._delivery_ids(one.owed.pair for one in settled)
        new = [one for one in settled if one.owed.pair not in known]
        self._deliveries().bulk_create([_delivery(one, now) for one in new])
        return self._delivery_ids(one.owed.pair for one in new)

    def _update_deliveries(self, settled: Sequence[Settled], ring: Ring, now: datetime) -> Ids:
        """Write later outcomes; returns the keys of the deliveries that the batch owned."""
        owned = self._deliveries().filter(batch_id=ring.batch_id)
        known: Ids = {
            (event_id, hook_id): pk
            for event_id, hook_id, pk in owned.values_list("event_id", "hook_id", "pk")
        }
        mine = [one for one in settled if one.owed.pair in known]
        for one in mine:
            owned.filter(pk=known[one.owed.pair]).update(**_outcome(one, now))
        return {one.owed.pair: known[one.owed.pair] for one in mine}

    def _write_attempts(self, unwell: Sequence[Settled], ids: Ids, now: datetime) -> None:
        """Log the POSTs that were not accepted."""
        attempts = [
            Attempt(
                delivery_id=ids[one.owed.pair],
                number=one.attempts,
                at=now,
                status_code=one.outcome.status_code,
                detail=one.outcome.full_detail[:DETAIL_LENGTH],
                elapsed=one.outcome.elapsed,
            )
            for one in unwell
            if one.outcome.attempted
        ]
        Attempt.objects.using(self.alias).bulk_create(attempts)

    def _lower_pending(self, settled: Sequence[Settled], now: datetime) -> tuple[int, ...]:
        """Count first outcomes off their events; returns the events whose result hook is due."""
        firsts = Counter(
            one.owed.event_id
            for one in settled
            if one.owed.pending and not (one.deferred and _is_young(one, now))
        )
        return self._count_off(firsts, now) if firsts else ()

    def _count_off(self, firsts: Mapping[int, int], now: datetime) -> tuple[int, ...]:
        """Lower what events wait for by so much each; see `_lower_pending`."""
        rows = self._lock(self._events().filter(among(firsts)).order_by("pk"))
        loud = []
        alike = defaultdict(list)
        for pk, pending, fanned_at, result_hook in rows.values_list(
            "pk", "pending", "fanned_at", "result_hook"
        ):
            last = fanned_at is not None and pending == firsts[pk]
            if last and result_hook:
                loud.append(pk)
            alike[firsts[pk], last, result_hook].append(pk)
        for (number, last, result_hook), ids in alike.items():
            ending = _ending(result_hook, now) if last else {}
            self._events().filter(among(ids)).update(pending=F("pending") - number, **ending)
        return tuple(loud)

    def _disable_hooks(self, unwell: Sequence[Settled], now: datetime) -> None:
        reasons = {one.owed.hook_id: one.outcome.disable for one in unwell if one.outcome.disable}
        if not reasons:
            return
        hooks = Hook.objects.using(self.alias).filter(disabled_at=None)
        by_reason = defaultdict(list)
        for pk in self._lock(hooks.filter(pk__in=reasons).order_by("pk")).values_list(
            "pk", flat=True
        ):
            by_reason[reasons[pk]].append(pk)
        for reason, ids in by_reason.items():
            hooks.filter(pk__in=ids).disable(reason, now)
            self._tell_disabled(ids)


def outcome_row(one: Settled, now: datetime) -> tuple[Any, ...]:
    """What an outcome writes, in the order of `OUTCOME_COLUMNS`."""
    owed, outcome, deferred = one.owed, one.outcome, one.deferred
    return (
        one.status,
        one.attempts,
        None if one.delay is None else now + timedelta(seconds=one.delay),
        None,
        one.body,
        outcome.status_code,
        outcome.full_detail[:DETAIL_LENGTH],
        outcome.host[:_HOST_LENGTH],
        # The guard refused the target; what is only deferred stays as it was.
        owed.blocked if deferred else outcome.verdict is BLOCKED,
        now,
        deferred and owed.pending and _is_young(one, now),
        _deferred_since(one, now) if deferred else None,
        None if one.slot is None else now + timedelta(seconds=one.slot),
        one.granted,
    )


def _outcome(one: Settled, now: datetime) -> dict[str, Any]:
    return dict(zip(OUTCOME_COLUMNS, outcome_row(one, now), strict=True))


def _delivery(one: Settled, now: datetime) -> Delivery:
    """The ledger row that a first outcome makes of its pair."""
    return Delivery(event_id=one.owed.event_id, hook_id=one.owed.hook_id, **_outcome(one, now))


def _deferred_since(one: Settled, now: datetime) -> datetime:
    return now if one.owed.waited is None else one.owed.waited.since


def _is_young(one: Settled, now: datetime) -> bool:
    """Whether a deferral leaves an event waiting for the pair's first outcome."""
    return now - _deferred_since(one, now) < COUNTED_AFTER


def _ending(result_hook: bool, now: datetime) -> dict[str, Any]:
    """What becomes of an event with its last first outcome."""
    return {"due_at": now} if result_hook else {"finished_at": now, "snapshot": None}


def _dead_letters(unwell: Sequence[Settled], ids: Ids) -> tuple[DeadLetter, ...]:
    return tuple(
        DeadLetter(ids[one.owed.pair], one.owed.event_id, one.owed.hook_id, one.outcome.detail)
        for one in unwell
        if one.status == Delivery.Status.DEAD
    )
