"""What the ledger says, in queries that an index answers and whose cost has a bound."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Max, Min, QuerySet

from doh.journal import Journal
from doh.models import Attempt, Batch, Delivery, Event, Hook

#: Rows that are counted at most: "10,000" then means that many or more.
COUNTED: Final = 10_000
#: Newest rows that a rate, or a list of reasons, is taken from.
SAMPLE: Final = 10_000
#: Seconds that a rate looks back.
WINDOW: Final = 300.0
#: Reasons, and hooks, that are named.
NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Vitals:
    """What tells whether deliveries move, in seconds; None where there is nothing of the kind.

    How long the oldest event, and the oldest delivery, have been due and nobody came; how long the
    oldest batch has been there; how long ago somebody last swept.
    """

    event: float | None
    batch: float | None
    delivery: float | None
    sweep: float | None


@dataclass(frozen=True, slots=True)
class Detail:
    """What an operator wants to know beside that; rates are per minute, counts have a bound.

    ``outcomes`` are by the status of the delivery, ``attempts`` those that were not accepted.
    """

    events_due: int
    batches: int
    deliveries_due: int
    waiting: int
    dead: int
    dead_by_reason: dict[str, int]
    disabled: int
    disabled_by_reason: dict[str, int]
    failing: dict[int, int]
    events: float
    outcomes: dict[str, float]
    attempts: float


def read_vitals(journal: Journal) -> Vitals:
    """Four short queries."""
    now, alias = journal.now(), journal.alias
    batch = Batch.objects.using(alias).order_by("pk").values_list("created_at", flat=True)
    return Vitals(
        event=_overdue(Event.objects.using(alias), now),
        batch=_since(batch.first(), now),
        delivery=_overdue(Delivery.objects.using(alias), now),
        sweep=_since(journal.last_beat(), now),
    )


def read_detail(journal: Journal) -> Detail:
    """A dozen queries, none of which looks at more than some ten thousand rows."""
    now, alias = journal.now(), journal.alias
    deliveries, hooks = Delivery.objects.using(alias), Hook.objects.using(alias)
    due = count_due(journal)
    dead = _tally(deliveries.dead().order_by("-pk"), "detail")
    waiting = _tally(deliveries.waiting().order_by("-event"), "hook_id")
    disabled = hooks.exclude(disabled_at=None).order_by("-disabled_at")
    shut = _tally(disabled, "disabled_reason")
    return Detail(
        events_due=due["event"],
        batches=due["batch"],
        deliveries_due=due["delivery"],
        waiting=waiting.total(),
        dead=dead.total(),
        dead_by_reason=dict(dead.most_common(NAMED)),
        disabled=shut.total(),
        disabled_by_reason=dict(shut.most_common(NAMED)),
        failing=dict(waiting.most_common(NAMED)),
        events=sum(_rates(Event.objects.using(alias), "occurred_at", now).values()),
        outcomes=_rates(deliveries, "updated_at", now, by="status"),
        attempts=sum(_rates(Attempt.objects.using(alias), "at", now).values()),
    )


def count_dead(journal: Journal) -> int:
    """Dead letters; `COUNTED` stands for that many or more."""
    return _count(Delivery.objects.using(journal.alias).dead().order_by("-pk"))


def count_disabled(journal: Journal) -> int:
    """Disabled hooks; `COUNTED` stands for that many or more."""
    hooks = Hook.objects.using(journal.alias).exclude(disabled_at=None)
    return _count(hooks.order_by("-disabled_at"))


def count_due(journal: Journal) -> dict[str, int]:
    """Rows of each kind that wait to be taken up, each up to `COUNTED`."""
    now, alias = journal.now(), journal.alias
    deliveries = Delivery.objects.using(alias)
    return {
        "event": _count(Event.objects.using(alias).filter(due_at__lte=now).order_by("due_at")),
        "batch": _count(Batch.objects.using(alias).order_by("due_at")),
        "delivery": _count(deliveries.filter(due_at__lte=now).order_by("due_at")),
    }


def _overdue(rows: QuerySet[Any], now: datetime) -> float | None:
    due = rows.filter(due_at__lte=now).order_by("due_at").values_list("due_at", flat=True)
    return _since(due.first(), now)


def _since(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())


def _count(rows: QuerySet[Any]) -> int:
    """In an index's order: it passes over what is long gone."""
    return rows.values("pk")[:COUNTED].count()


def _tally(rows: QuerySet[Any], column: str) -> Counter[Any]:
    """How often each value stands in a column of the first rows."""
    return Counter(rows.values_list(column, flat=True)[:SAMPLE])


def _rates(
    rows: QuerySet[Any], moment: str, now: datetime, by: str | None = None
) -> dict[str, float]:
    """Rows a minute among the newest, by their key: a range of keys is what bounds the cost.

    Where the sample is younger than the window, the window is as long as the sample.
    """
    keys = rows.aggregate(newest=Max("pk"), oldest=Min("pk"))
    floor = (keys["newest"] or 0) - SAMPLE
    sample = rows.filter(pk__gt=floor)
    start = now - timedelta(seconds=WINDOW)
    if (keys["oldest"] or 0) <= floor:
        oldest = sample.aggregate(oldest=Min(moment))["oldest"]
        start = max(start, oldest or start)
    minutes = max(1.0, (now - start).total_seconds()) / 60
    recent = sample.filter(**{f"{moment}__gte": start}).order_by()
    if by is None:
        return {"": recent.count() / minutes}
    found = recent.values_list(by).annotate(number=Count("pk"))
    return {str(key): number / minutes for key, number in found}
