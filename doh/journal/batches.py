"""Batches: claim what is to be sent, keep the claim alive, give it back."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import F

from doh.again import again
from doh.journal.among import among
from doh.journal.ledger import GIVE_UP_AFTER, SUSPECT_AFTER, Ledger, seconds_of_claim
from doh.journal.packing import dump_pairs, load_keys
from doh.journal.records import BatchClaim, Owed, Ring, Waited
from doh.models import Batch

#: What is read of a delivery that is owed again.
_OWED: Final = (
    "event_id",
    "hook_id",
    "attempts",
    "body",
    "pending",
    "deferred_at",
    "slot_at",
    "granted",
    "blocked",
)


class Taken(NamedTuple):
    """A batch that was just claimed, at what time of the database's.

    ``again`` tells whether deliveries name it, where that was asked.
    """

    batch: Batch
    at: datetime
    again: bool | None = None


class BatchLedger(Ledger):
    """The part of the journal that moves batches."""

    def claim_batch(self, ring: Ring, lease: float) -> BatchClaim | None:
        """Claim the batch that a doorbell names; None if it is gone or somebody else's.

        A batch that was claimed over and over without an outcome is taken apart (None, too): its
        pairs go on alone and ever more slowly, and what is still claimed in vain is given up.
        """
        # Before, not after: the process may be stopped for long between the two.
        since = monotonic()
        taken = self._take(ring, lease)
        if taken is None:
            return None
        batch = taken.batch
        claim = BatchClaim(
            id=batch.pk,
            epoch=batch.epoch,
            owed=tuple(self._owed(taken, claimed_before=ring.epoch)),
            at=taken.at,
            bodies=batch.bodies,
            given_up=batch.tries > GIVE_UP_AFTER,
            since=since,
        )
        return claim if batch.tries <= SUSPECT_AFTER else self._alone(claim, batch, lease)

    @again
    def _take(self, ring: Ring, lease: float) -> Taken | None:
        """Move a batch to the next epoch, and read it."""
        with transaction.atomic(using=self.alias):
            now = self.now()
            changed = self._batch(ring).update(
                epoch=ring.epoch + 1,
                due_at=now + timedelta(seconds=lease),
                tries=F("tries") + 1,
            )
            if not changed:
                return None
            return Taken(self._batches().get(pk=ring.batch_id), now)

    @again
    def _alone(self, claim: BatchClaim, suspect: Batch, lease: float) -> BatchClaim | None:
        """The claim on a suspect if it is of one pair, for longer; or each pair to a batch."""
        with transaction.atomic(using=self.alias):
            mine = self._lock(self._batch(claim.ring))
            if not list(mine.values_list("pk")):
                return None
            if len(claim.owed) > 1:
                self._take_apart(suspect, claim.owed)
                return None
            mine.update(due_at=self.after(seconds_of_claim(suspect.tries, lease)))
        return claim

    @again
    def store_bodies(self, ring: Ring, bodies: dict[str, str]) -> bool:
        """Keep rendered bodies before the first byte is sent; False if the batch is not ours."""
        return bool(self._batch(ring).update(bodies=bodies))

    @again
    def renew(self, ring: Ring, lease: float) -> bool:
        """Prolong a claim; False if it is not ours any more."""
        return bool(self._batch(ring).update(due_at=self.after(lease)))

    @again
    def hand_back(self, rings: Iterable[Ring]) -> list[Ring]:
        """Give up claims, or batches nobody could be told of: the next sweep takes them.

        Returns the doorbells at which they may be claimed at once. Whoever gives a claim up is
        alive, so none of the batches is suspected of anything.
        """
        with transaction.atomic(using=self.alias):
            now = self.now()
            return [
                Ring(ring.batch_id, queued(ring.epoch))
                for ring in sorted(rings)
                if self._batch(ring).update(due_at=now, epoch=queued(ring.epoch), tries=0)
            ]

    @again
    def overdue_batches(self, limit: int, queue_lease: float) -> list[Ring]:
        """Batches whose lease ran out, each with the doorbell to ring for it.

        One that nobody has claimed keeps its epoch: an older message for it, still somewhere in a
        long queue, is as good as the new one, and whichever is heard first counts.
        """
        with transaction.atomic(using=self.alias):
            now = self.now()
            due = self._lock(self._batches().filter(due_at__lte=now).order_by("due_at"), skip=True)
            rows = list(due.values_list("pk", "epoch")[:limit])
            by_epoch = defaultdict(list)
            for pk, epoch in rows:
                by_epoch[epoch].append(pk)
            later = now + timedelta(seconds=queue_lease)
            for epoch, ids in by_epoch.items():
                self._batches().filter(among(ids)).update(epoch=queued(epoch), due_at=later)
        return [Ring(pk, queued(epoch)) for pk, epoch in rows]

    def _owed(self, taken: Taken, *, claimed_before: int) -> list[Owed]:
        """What remains of a batch: pairs without a delivery, or whose delivery names it."""
        rows = self._deliveries().filter(batch_id=taken.batch.pk)
        if taken.again is not False and (
            retries := [
                _owed_again(row, taken.at)
                for row in rows.order_by("event_id", "hook_id").values(*_OWED)
            ]
        ):
            return retries
        owed = [Owed(event_id, hook_id) for event_id, hook_id in load_keys(taken.batch.pairs)]
        if not claimed_before:
            return owed
        settled = self._delivery_ids(one.pair for one in owed)
        return [one for one in owed if one.pair not in settled]

    def _take_apart(self, batch: Batch, owed: Sequence[Owed]) -> None:
        """Pass each pair to a batch of its own: one of them may kill whoever sends it."""
        now = self.now()
        bodies: dict[str, str] = batch.bodies or {}
        for one in owed:
            part = Batch(
                pairs=dump_pairs([one.pair]),
                bodies={one.key: bodies[one.key]} if one.key in bodies else None,
                due_at=now,
                tries=batch.tries,
            )
            part.save(using=self.alias, force_insert=True)
            self._deliveries().filter(
                event_id=one.event_id, hook_id=one.hook_id, batch_id=batch.pk
            ).update(batch_id=part.pk)
        self._batches().filter(pk=batch.pk).delete()


def _owed_again(row: Mapping[str, Any], now: datetime) -> Owed:
    return Owed(
        row["event_id"],
        row["hook_id"],
        row["attempts"],
        row["body"],
        first=False,
        uncounted=row["pending"],
        waited=None if row["deferred_at"] is None else _waited(row, now),
        blocked=row["blocked"],
    )


def _waited(row: Mapping[str, Any], now: datetime) -> Waited:
    since, slot_at = row["deferred_at"], row["slot_at"]
    slot = None if slot_at is None else (slot_at - now).total_seconds()
    return Waited(since, (now - since).total_seconds(), slot, row["granted"])


def queued(epoch: int) -> int:
    """The epoch at which a batch may be claimed: claims are odd, what waits to be claimed even."""
    return epoch + epoch % 2
