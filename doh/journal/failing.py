"""Failing hooks: what the ledger knows of them, and what becomes of them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Count, Max, Min, OuterRef, QuerySet, Subquery

from doh.again import again
from doh.journal.ledger import Ledger
from doh.models import Attempt, Hook
from doh.querysets import HookQuerySet
from doh.signals import hook_failing

#: Hooks that one query asks about.
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Health:
    """How an enabled hook does: since when it fails, as far as is known, and what is excused."""

    id: int
    failing_since: datetime | None
    warned_at: datetime | None
    #: The last success that is found cheaply, or until when failures don't count.
    sound_until: datetime | None


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed attempts of a hook: of how many events, the first and the last."""

    events: int
    first: datetime | None
    last: datetime | None


class FailingLedger(Ledger):
    """The part of the journal that looks after failing hooks.

    Nothing here is written on the way of a delivery: it is all read from the attempts, which are
    few. Updates name what they were decided on, so two looks at once act once.
    """

    def unreachable_hosts(self, since: datetime) -> tuple[int, int]:
        """Of how many target hosts the latest word since was no answer, and of how many any."""
        failures = Attempt.objects.using(self.alias).filter(at__gte=since, status_code=None)
        silent = _latest(failures.exclude(delivery__host=""), "delivery__host", "at")
        if not silent:
            return 0, 0
        answered = self._deliveries().filter(updated_at__gte=since, status_code__isnull=False)
        heard = _latest(answered.exclude(host=""), "host", "updated_at")
        down = sum(host not in heard or heard[host] < last for host, last in silent.items())
        return down, len(heard.keys() | silent.keys())

    def failing_hooks(self, since: datetime) -> set[int]:
        """Hooks with a failed attempt since, and those that are known to fail."""
        recent = Attempt.objects.using(self.alias).filter(at__gte=since).order_by()
        known = self._enabled().filter(failing_since__isnull=False)
        found = set(recent.values_list("delivery__hook_id", flat=True).distinct().iterator())
        return found | set(known.values_list("pk", flat=True).iterator())

    def healths(self, hook_ids: Collection[int]) -> Iterator[Health]:
        """How the enabled ones of some hooks do."""
        latest = self._deliveries().filter(hook=OuterRef("pk"), status="succeeded").order_by("-pk")
        succeeded = Subquery(latest.values("updated_at")[:1])
        for ids in _chunks(hook_ids):
            rows = self._enabled().filter(pk__in=ids).annotate(succeeded=succeeded)
            columns = ("pk", "failing_since", "warned_at", "succeeded", "excused_until")
            for pk, failing, warned, success, excused in rows.values_list(*columns):
                sound = max((one for one in (success, excused) if one is not None), default=None)
                yield Health(pk, failing, warned, sound)

    def last_success(self, hook_id: int, since: datetime) -> datetime | None:
        """When it last succeeded, if it did since: a retry of something old counts, too."""
        rows = self._deliveries().filter(hook=hook_id, status="succeeded", updated_at__gte=since)
        found: datetime | None = rows.aggregate(last=Max("updated_at"))["last"]
        return found

    def failures(self, hook_id: int, after: datetime | None) -> Failures:
        """Its failed attempts after a moment."""
        rows = Attempt.objects.using(self.alias).filter(delivery__hook=hook_id)
        if after is not None:
            rows = rows.filter(at__gt=after)
        events = Count("delivery", distinct=True)
        return Failures(**rows.aggregate(events=events, first=Min("at"), last=Max("at")))

    @again
    def note_failing(self, health: Health, since: datetime | None) -> None:
        """Write down since when it fails; None if it does no more."""
        rows = self._enabled().filter(pk=health.id, failing_since=health.failing_since)
        rows.update(failing_since=since, warned_at=None)

    @again
    def excuse(self, hook_ids: Collection[int], now: datetime) -> None:
        """Let no failure of these hooks count that came before this moment."""
        for ids in _chunks(hook_ids):
            rows = self._enabled().filter(pk__in=ids)
            rows.update(excused_until=now, failing_since=None, warned_at=None)

    @again
    def warn_of(self, hook_id: int, since: datetime, now: datetime) -> bool:
        """Send `hook_failing` after the commit, once; False if somebody else was faster."""
        with transaction.atomic(using=self.alias):
            rows = self._enabled().filter(pk=hook_id, warned_at=None)
            if not rows.update(warned_at=now):
                return False

            def tell() -> None:
                for hook in self._hooks().filter(pk=hook_id).defer(*Hook.ENCRYPTED):
                    hook_failing.send_robust(sender=Hook, hook=hook, since=since)

            transaction.on_commit(tell, using=self.alias, robust=True)
        return True

    @again
    def disable(self, hook_id: int, reason: str, now: datetime) -> bool:
        """Disable a hook, and send `hook_disabled` after the commit; False if it was already."""
        with transaction.atomic(using=self.alias):
            if not self._enabled().filter(pk=hook_id).disable(reason, now):
                return False
            self._tell_disabled([hook_id])
        return True

    def _hooks(self) -> HookQuerySet:
        hooks: HookQuerySet = Hook.objects.using(self.alias)
        return hooks

    def _enabled(self) -> HookQuerySet:
        return self._hooks().filter(disabled_at=None)


def _chunks(hook_ids: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(hook_ids)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def _latest(rows: QuerySet[Any], by: str, at: str) -> dict[str, datetime]:
    """The latest moment of each group."""
    return dict(rows.order_by().values_list(by).annotate(last=Max(at)))
