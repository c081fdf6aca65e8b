"""Events: claim them, pass what they owe to batches, and see them finished."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connections, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Collate

from doh.again import again
from doh.journal.among import among
from doh.journal.ledger import GIVE_UP_AFTER, SUSPECT_AFTER, Ledger, seconds_of_claim
from doh.journal.records import EventClaim, Ring
from doh.models import DETAIL_LENGTH, Event, Hook
from doh.querysets import ANY_ACTION
from doh.types import Pair

_GIVEN_UP = f"given up: it was claimed {GIVE_UP_AFTER} times in vain"
#: What is read of an event that is to be fanned out.
CLAIMED: Final = (
    "id",
    "epoch",
    "content_type_id",
    "label",
    "object_id",
    "action",
    "using",
    "deliverer",
    "payload",
    "hooks_until",
    "fanned_to",
    "tries",
    "traceparent",
)


class EventLedger(Ledger):
    """The part of the journal that moves events."""

    @again
    def claim_events(
        self, limit: int, lease: float, ids: Collection[int] | None = None
    ) -> list[EventClaim]:
        """Claim events to fan out: those that are due, or the named ones if nobody has yet."""
        rows = self._events().filter(fanned_at=None, finished_at=None)
        if ids is not None:
            return self._claim(rows.filter(among(ids), epoch=0), limit, lease)
        return self._claim(rows.filter(due_at__lte=self.now()), limit, lease)

    @again
    def claim_results(
        self, limit: int, lease: float, ids: Collection[int] | None = None
    ) -> list[EventClaim]:
        """Claim settled events whose result hook is due to run."""
        rows = self._settled()
        if ids is not None:
            rows = rows.filter(among(ids))
        return self._claim(rows.filter(due_at__lte=self.now()), limit, lease)

    def match(self, claims: Sequence[EventClaim], limit: int) -> list[Pair]:
        """Up to ``limit`` pairs that claimed events still owe, event by event, by hook id.

        Fewer than the limit means that these events owe no more.
        """
        now = self.now()
        found: list[Pair] = []
        for claim in claims:
            hooks = (
                Hook.objects.using(self.alias)
                .listening(claim.content_type_id, claim.object_id, claim.action)
                .enabled(now)
                .filter(self._exactly(claim), pk__gt=claim.fanned_to, pk__lte=claim.hooks_until)
                .order_by("pk")
                .values_list("pk", flat=True)[: limit - len(found)]
            )
            found += [Pair(claim.id, pk) for pk in hooks]
            if len(found) >= limit:
                break
        return found

    @again
    def commit_slice(
        self,
        claims: Sequence[EventClaim],
        pairs: Sequence[Pair],
        limit: int,
        *,
        batch_size: int,
        lease: float,
        queue_lease: float,
    ) -> tuple[list[Ring], list[EventClaim]]:
        """Pass the pairs that `match` found from their events to new batches.

        Returns the doorbells to ring, and the claims that owe more than this slice took.
        """
        with transaction.atomic(using=self.alias):
            now = self.now()
            mine = self._still_mine(claims)
            taken = [pair for pair in pairs if pair.event_id in mine]
            rings = self._write_batches(taken, batch_size, now + timedelta(seconds=queue_lease))
            rest = self._open_rest(claims, mine, pairs, limit)
            counts = Counter(pair.event_id for pair in taken)
            until = now + timedelta(seconds=lease)
            self._events().filter(among(claim.id for claim in rest)).update(due_at=until)
            for claim in rest[:1]:
                self._events().filter(pk=claim.id).update(
                    pending=F("pending") + counts[claim.id], fanned_to=claim.fanned_to
                )
            whole = mine.keys() - {claim.id for claim in rest}
            self._close_fan_out(whole, counts, now)
        return rings, rest

    @again
    def write_trial(self, event: Event, hook_id: int, queue_lease: float) -> Ring:
        """Write an event for one hook alone, fanned out already; returns its batch's doorbell."""
        with transaction.atomic(using=self.alias):
            now = self.now()
            event.fanned_at, event.pending = now, 1
            event.save(using=self.alias, force_insert=True)
            until = now + timedelta(seconds=queue_lease)
            (ring,) = self._write_batches([Pair(event.pk, hook_id)], 1, until)
        return ring

    @again
    def release_event(self, claim: EventClaim) -> None:
        """The project's own deliverer took the event over: nothing of it is owed here."""
        now = self.now()
        self._mine(claim).update(
            due_at=None, fanned_at=now, finished_at=now, snapshot=None, error=""
        )

    @again
    def reassign_event(
        self, claim: EventClaim, deliverer: str, result_hook: bool, *, again_now: bool
    ) -> None:
        """Pass a claimed event to another deliverer; ``again_now`` gives the claim up as well."""
        change: dict[str, Any] = {"deliverer": deliverer, "result_hook": result_hook}
        if again_now:
            change |= {"due_at": self.now(), "epoch": F("epoch") + 1}
        self._mine(claim).update(**change)

    @again
    def postpone_event(self, claim: EventClaim, delay: float | None, error: str) -> None:
        """Hand an event out again in so many seconds; None gives it up, visibly."""
        now = self.now()
        change: dict[str, Any] = {"error": error[:DETAIL_LENGTH], "tries": F("tries") + 1}
        if delay is None:
            self._mine(claim).update(due_at=None, finished_at=now, **change)
        else:
            self._mine(claim).update(due_at=now + timedelta(seconds=delay), **change)

    @again
    def finish_event(self, claim: EventClaim) -> None:
        """The event's result hook has run."""
        self._mine(claim).update(due_at=None, finished_at=self.now(), snapshot=None)

    def has_due_events(self) -> bool:
        """Whether an event waits to be fanned out."""
        rows = self._events().filter(fanned_at=None, due_at__lte=self.now())
        return rows.exists()

    def has_due_results(self) -> bool:
        """Whether the result hook of a settled event waits to be run."""
        return self._settled().filter(due_at__lte=self.now()).exists()

    def _settled(self) -> QuerySet[Event]:
        return self._events().filter(fanned_at__isnull=False, finished_at=None, pending=0)

    def _exactly(self, claim: EventClaim) -> Q:
        """Most collations of MySQL and MariaDB take "a" for "A": these are two objects here."""
        if connections[self.alias].vendor != "mysql":
            return Q()
        key, action, any_action = (
            Collate(Value(text), "utf8mb4_bin")
            for text in (claim.object_id, claim.action, ANY_ACTION)
        )
        return (Q(object_id=key) | Q(object_id=None)) & Q(action__in=(action, any_action))

    def _mine(self, claim: EventClaim) -> QuerySet[Event]:
        return self._events().filter(pk=claim.id, epoch=claim.epoch)

    def _claim(self, rows: QuerySet[Event], limit: int, lease: float) -> list[EventClaim]:
        with transaction.atomic(using=self.alias):
            now = self.now()
            found = self._lock(rows.order_by("due_at"), skip=True).values_list(*CLAIMED)[:limit]
            claims = self._sane([EventClaim(*row) for row in found], now)
            if not claims:
                return []
            seconds = seconds_of_claim(claims[0].futile + 1, lease)
            self._events().filter(among(claim.id for claim in claims)).update(
                epoch=F("epoch") + 1, due_at=now + timedelta(seconds=seconds)
            )
        return [replace(claim, epoch=claim.epoch + 1) for claim in claims]

    def _sane(self, claims: list[EventClaim], now: datetime) -> list[EventClaim]:
        """The claims to go on with: one event may kill its claimants, and takes no other along.

        A suspect is claimed alone; one that was claimed too often is given up, visibly.
        """
        hopeless = [claim.id for claim in claims if claim.futile >= GIVE_UP_AFTER]
        if hopeless:
            self._events().filter(among(hopeless)).update(
                due_at=None, finished_at=now, error=_GIVEN_UP
            )
            claims = [claim for claim in claims if claim.futile < GIVE_UP_AFTER]
        sound = [claim for claim in claims if claim.futile < SUSPECT_AFTER]
        return sound or claims[:1]

    def _still_mine(self, claims: Sequence[EventClaim]) -> dict[int, EventClaim]:
        """Lock the claimed events; those that somebody else has claimed since fall out."""
        rows = self._events().filter(among(claim.id for claim in claims)).order_by("pk")
        epochs = dict(self._lock(rows).values_list("pk", "epoch"))
        return {claim.id: claim for claim in claims if epochs.get(claim.id) == claim.epoch}

    def _open_rest(
        self,
        claims: Sequence[EventClaim],
        mine: dict[int, EventClaim],
        pairs: Sequence[Pair],
        limit: int,
    ) -> list[EventClaim]:
        """The claims that a full slice cut off or did not reach, at where they go on."""
        if len(pairs) < limit:
            return []
        last = pairs[-1]
        place = next(i for i, claim in enumerate(claims) if claim.id == last.event_id)
        cut = replace(claims[place], fanned_to=last.hook_id)
        return [claim for claim in (cut, *claims[place + 1 :]) if claim.id in mine]

    def _close_fan_out(
        self, event_ids: Collection[int], counts: Counter[int], now: datetime
    ) -> None:
        """Mark events fanned out; one with nothing left to wait for is finished, or due to be."""
        by_count = defaultdict(list)
        for event_id in event_ids:
            by_count[counts[event_id]].append(event_id)
        for number, ids in by_count.items():
            rows = self._events().filter(among(ids))
            rows.update(pending=F("pending") + number, fanned_at=now, due_at=None)
            if number == 0:
                settled = rows.filter(pending=0)
                settled.filter(result_hook=True, fanned_to__gt=0).update(due_at=now)
                settled.filter(due_at=None).update(finished_at=now, snapshot=None)
