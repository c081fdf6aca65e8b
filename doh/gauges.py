"""Gauges that cost a query: what is owed, and for how long; for one process to observe."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from django.db.models import Max
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from doh.deliverers import resolve
from doh.journal import get_journal
from doh.models import Event
from doh.status import read_vitals, survey_broker
from doh.status.ledger import count_dead, count_disabled, count_due

_Reading = Callable[[], Iterator[Observation]]


def observe(meter: Meter) -> None:
    """Register every gauge: each collection then costs a dozen queries answered from indexes."""
    gauges: tuple[tuple[str, str, str, _Reading], ...] = (
        ("doh.due.age", "s", "How long the oldest row of a kind has waited.", _ages),
        ("doh.due.rows", "{row}", "Rows that wait to be taken up, up to 10,000.", _due),
        ("doh.dead_letters", "{delivery}", "Dead letters, up to 10,000.", _dead),
        ("doh.hooks.disabled", "{hook}", "Disabled hooks, up to 10,000.", _disabled),
        ("doh.sweep.age", "s", "How long ago the last sweep began.", _sweep),
        ("doh.queue.messages", "{message}", "Messages that wait in a queue.", _queues),
        ("doh.broker.up", "", "Whether the broker answers.", _broker),
    )
    for name, unit, description, read in gauges:
        meter.create_observable_gauge(name, [partial(_taken, read)], unit, description)
    meter.create_observable_counter(
        "doh.ledger.events",
        [partial(_taken, _events)],
        "{event}",
        "The newest event's key, which grows by one for each event.",
    )


def _taken(read: _Reading, _options: CallbackOptions) -> Iterable[Observation]:
    return list(read())


def _ages() -> Iterator[Observation]:
    vitals = read_vitals(get_journal())
    for kind in ("event", "batch", "delivery"):
        yield Observation(getattr(vitals, kind) or 0.0, {"doh.kind": kind})


def _due() -> Iterator[Observation]:
    for kind, number in count_due(get_journal()).items():
        yield Observation(number, {"doh.kind": kind})


def _dead() -> Iterator[Observation]:
    yield Observation(count_dead(get_journal()))


def _disabled() -> Iterator[Observation]:
    yield Observation(count_disabled(get_journal()))


def _sweep() -> Iterator[Observation]:
    """Nothing where nobody has ever swept."""
    age = read_vitals(get_journal()).sweep
    if age is not None:
        yield Observation(age)


def _queues() -> Iterator[Observation]:
    if _queued():
        for name, number in survey_broker().queues.items():
            yield Observation(number, {"messaging.destination.name": name})


def _broker() -> Iterator[Observation]:
    if _queued():
        yield Observation(0 if survey_broker().error else 1)


def _events() -> Iterator[Observation]:
    rows: Any = Event.objects.using(get_journal().alias)
    yield Observation(rows.aggregate(newest=Max("pk"))["newest"] or 0)


def _queued() -> bool:
    return resolve.collection().queued or resolve.element().queued
