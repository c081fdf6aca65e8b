"""Gauges that cost a query: what is owed, and for how long; for one process to observe."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

from django.db.models import Max
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from doh.deliverers import resolve
from doh.journal import get_journal
from doh.models import Event
from doh.status import read_vitals, survey_broker
from doh.status.ledger import count_dead, count_disabled, count_due
from doh.telemetry import Gauge, brought

#: Seconds that stand for no sweep at all: readings must be finite.
_NEVER: Final = 1e9

_Readings = Iterator[tuple[float, dict[str, str]]]


def observe(meter: Meter) -> None:
    """Register every gauge: each collection then costs a dozen queries answered from indexes."""
    for gauge in (*_GAUGES, *brought):
        callback = partial(_taken, gauge)
        meter.create_observable_gauge(gauge.name, [callback], gauge.unit, gauge.description)
    callback = partial(_taken, _EVENTS)
    meter.create_observable_counter(_EVENTS.name, [callback], _EVENTS.unit, _EVENTS.description)


def _taken(gauge: Gauge, _options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(value, attributes) for value, attributes in gauge.read()]


def _ages() -> _Readings:
    vitals = read_vitals(get_journal())
    for kind in ("event", "batch", "delivery"):
        yield getattr(vitals, kind) or 0.0, {"doh.kind": kind}


def _due() -> _Readings:
    for kind, number in count_due(get_journal()).items():
        yield number, {"doh.kind": kind}


def _dead() -> _Readings:
    yield count_dead(get_journal()), {}


def _disabled() -> _Readings:
    yield count_disabled(get_journal()), {}


def _sweep() -> _Readings:
    age = read_vitals(get_journal()).sweep
    yield _NEVER if age is None else age, {}


def _queues() -> _Readings:
    if _queued():
        for name, number in survey_broker().queues.items():
            yield number, {"messaging.destination.name": name}


def _broker() -> _Readings:
    if _queued():
        yield 0 if survey_broker().error else 1, {}


def _events() -> _Readings:
    rows: Any = Event.objects.using(get_journal().alias)
    yield rows.aggregate(newest=Max("pk"))["newest"] or 0, {}


def _queued() -> bool:
    return resolve.collection().queued or resolve.element().queued


_GAUGES: Final = (
    Gauge("doh.due.age", "s", "How long the oldest row of a kind has waited.", _ages),
    Gauge("doh.due.rows", "{row}", "Rows that wait to be taken up, up to 10,000.", _due),
    Gauge("doh.dead_letters", "{delivery}", "Dead letters, up to 10,000.", _dead),
    Gauge("doh.hooks.disabled", "{hook}", "Disabled hooks, up to 10,000.", _disabled),
    Gauge("doh.sweep.age", "s", "How long ago the last sweep began.", _sweep),
    Gauge("doh.queue.messages", "{message}", "Messages that wait in a queue.", _queues),
    Gauge("doh.broker.up", "", "Whether the broker answers.", _broker),
)
_EVENTS: Final = Gauge(
    "doh.ledger.events", "{event}", "The newest event's key: it grows by one per event.", _events
)
