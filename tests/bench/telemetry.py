"""What telemetry costs: off, with metrics, and with metrics on the trace of a request."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from vehicles.models import Vehicle

from doh.telemetry import install
from doh.telemetry.otel import OTel
from tests.bench import stage
from tests.bench.figures import Figure, Series
from tests.bench.receiver import Receiver
from tests.bench.run import Run, fanned_out
from tests.bench.watching import Spent, until
from tests.workers import delivered, free_ports

OFF: Final = "off"
METRICS: Final = "metrics"
TRACED: Final = "metrics, saved within a trace"
WAYS: Final = (OFF, METRICS, TRACED)
#: Workers, each of one process and so with one port.
WORKERS: Final = 3


@dataclass(slots=True)
class _Measured:
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    saves: list[float] = field(default_factory=list)


def telemetry(run: Run) -> Iterator[Figure]:
    """One event to many hooks, and saves, each way in turn."""
    found = {way: _Measured() for way in WAYS}
    with run.receiver() as receiver:
        stage.clear()
        warm, bus, lone = stage.vehicles(3)
        stage.hook_up([warm], stage.targets(receiver, 100))
        stage.hook_up([bus], stage.targets(receiver, run.scale.hooks))
        stage.hook_up([lone], stage.targets(receiver, 1))
        for _ in range(run.repeat):
            for way in WAYS:
                _measure(run, receiver, way, (warm, bus), found[way])
                with _traced(way):
                    found[way].saves.append(_saves(lone, run.scale.saves))
                stage.forget_events()
    for way, one in found.items():
        yield Figure("telemetry", f"{way}: rate", "POST/s", Series.of(one.rates))
        yield Figure("telemetry", f"{way}: CPU of workers for one POST", "µs", Series.of(one.cpu))
        yield Figure("telemetry", f"{way}: CPU of a save with a hook", "ms", Series.of(one.saves))


def _measure(
    run: Run, receiver: Receiver, way: str, vehicles: tuple[Vehicle, Vehicle], found: _Measured
) -> None:
    warm, bus = vehicles
    stage.forget_events()
    with _listening(way) as first, run.stage.workers(), _traced(way):
        fanned_out(warm, receiver, 100)
        spent = Spent(run.stage.roots())
        found.rates.append(fanned_out(bus, receiver, run.scale.hooks)[0])
        seconds = spent.seconds()
        found.cpu.append((seconds["collection"] + seconds["element"]) / run.scale.hooks * 1e6)
        if first is not None:
            ports = range(first, first + WORKERS)
            until(lambda: sum(map(delivered, ports)) == 100 + run.scale.hooks)


@contextmanager
def _listening(way: str) -> Iterator[int | None]:
    """Workers that start now have endpoints, from this port on."""
    if way == OFF:
        yield None
        return
    first = free_ports(WORKERS)
    with stage.told("BENCH_METRICS", str(first)):
        yield first


@contextmanager
def _traced(way: str) -> Iterator[None]:
    """This process, which saves, is a web process with that much telemetry."""
    if way == OFF:
        yield
        return
    tracers = TracerProvider()
    span = tracers.get_tracer("web").start_as_current_span("PUT")
    install(OTel(MeterProvider(), tracers))
    try:
        with span if way == TRACED else nullcontext():
            yield
    finally:
        install(None)


def _saves(vehicle: Vehicle, number: int) -> float:
    """Milliseconds of CPU that a save takes here."""
    start = time.process_time()
    for _ in range(number):
        vehicle.save()
    return (time.process_time() - start) / number * 1000
