"""P1, P2 and P5: how many POSTs per second, end to end through Celery."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from django.db import transaction

from doh.models import Delivery
from tests.bench import least, peer, stage
from tests.bench.bare import Prepared
from tests.bench.figures import Figure, Series, at_least, at_most
from tests.bench.receiver import Receiver
from tests.bench.run import (
    IN_FLIGHT,
    Run,
    bare_rate,
    bare_rates,
    check,
    fanned_out,
    requests_of,
)
from tests.bench.watching import Peak, Spent


def p1(run: Run) -> Iterator[Figure]:
    """One event to many hooks."""
    number = run.scale.hooks
    with run.receiver() as receiver:
        stage.clear()
        bus = stage.vehicle()
        stage.hook_up([bus], stage.targets(receiver, number))
        requests = requests_of([bus])
        with run.stage.workers():
            meter = Meter(run.stage.roots())

            def deliver() -> float:
                with meter:
                    return fanned_out(bus, receiver, number)[0]

            yardstick, ours, theirs, lowest = _in_turn(
                run.repeat,
                lambda: _bare(requests, receiver),
                deliver,
                lambda: peer.rate("fanout", receiver, run.scale.peer),
                lambda: least.rate(bus, receiver, number),
            )
        most = Series.of([bare_rates(requests) for _ in range(run.repeat)])
    what = f"one event to {number:,} hooks"
    yield at_least(0.4, "P1", what, "POST/s", ours, "bare CurlMulti loop", yardstick)
    beside = f"django-webhook, {run.scale.peer:,} hooks"
    yield at_least(200, "P1", what, "POST/s", ours, beside, theirs)
    what = "the least: read hooks, sign, POST, write outcomes; a loop on each core"
    yield Figure("P1", what, "POST/s", lowest, beside, theirs)
    yield Figure("P1", "a bare loop on each core, and nothing else", "POST/s", most)
    yield from meter.figures("P1", "POST", number * run.repeat)


def p2(run: Run) -> Iterator[Figure]:
    """Many events to one hook each, committed together; and one by one, as a stream."""
    number = run.scale.events
    with run.receiver() as receiver:
        stage.clear()
        buses = stage.vehicles(number)
        stage.hook_up(buses, stage.targets(receiver, number), one_each=True)
        with transaction.atomic():
            requests = requests_of(buses)
        with run.stage.workers():
            meter = Meter(run.stage.roots())
            yardstick, ours, theirs = _in_turn(
                run.repeat,
                lambda: _bare(requests, receiver),
                lambda: _at_once(buses, receiver, meter),
                lambda: peer.rate("events", receiver, run.scale.peer),
            )
            few = buses[: max(run.scale.peer, 1)]
            stream = Series.of([_stream(few, receiver) for _ in range(run.repeat)])
    what = f"{number:,} events to one hook each, from their COMMIT"
    yield at_least(0.2, "P2", what, "POST/s", ours, "bare CurlMulti loop", yardstick)
    beside = f"django-webhook, {run.scale.peer:,} events"
    yield at_least(100, "P2", what, "POST/s", ours, beside, theirs)
    what = f"a stream of {len(few):,} saves in autocommit, one hook each"
    yield Figure("P2", what, "POST/s", stream, beside, theirs)
    yield from meter.figures("P2", "event from its COMMIT", number * run.repeat)


def p5(run: Run) -> Iterator[Figure]:
    """One event to ever more hooks: rate, first arrival, and memory of the workers."""
    sizes = run.scale.sizes
    with run.receiver() as receiver:
        stage.clear()
        buses = stage.vehicles(len(sizes))
        for bus, size in zip(buses, sizes, strict=True):
            stage.hook_up([bus], stage.targets(receiver, size))
        rates, firsts, peaks = [], [], []
        with run.stage.workers():
            for bus, size in zip(buses, sizes, strict=True):
                with Peak(run.stage.roots().values()) as peak:
                    rate, first = fanned_out(bus, receiver, size)
                rates.append(rate)
                firsts.append(first)
                peaks.append(peak.megabytes)
    for size, rate, peak_of in zip(sizes, rates, peaks, strict=True):
        yield Figure("P5", f"{size:,} hooks: rate", "POST/s", Series.of([rate]))
        yield Figure("P5", f"{size:,} hooks: largest worker process", "MB", Series.of([peak_of]))
    usual = sizes.index(run.scale.hooks) if run.scale.hooks in sizes else 0
    what = f"one event to {sizes[-1]:,} hooks"
    beside = f"{sizes[usual]:,} hooks"
    yield at_least(
        0.85, "P5", what, "POST/s", Series.of(rates[-1:]), beside, Series.of([rates[usual]])
    )
    grown = Series.of([peaks[-1] - peaks[usual]])
    yield at_most(30, "P5", f"{what}: memory beyond that of {beside}", "MB", grown)
    yield at_most(2, "P5", f"{what}: until the first arrives", "s", Series.of(firsts[-1:]))


class Meter:
    """Adds up what a piece of work costs, each time that it is done: CPU by process, and bytes."""

    def __init__(self, roots: Mapping[str, Iterable[int]]) -> None:
        self._roots = roots
        self._cpu: Counter[str] = Counter()
        self._logged = self._stored = 0.0

    def __enter__(self) -> None:
        self._spent = Spent(self._roots)
        self._before = stage.wal(), stage.size_of(Delivery)

    def __exit__(self, *_: object) -> None:
        logged, stored = self._before
        self._logged += stage.wal() - logged
        self._stored += stage.size_of(Delivery) - stored
        self._cpu.update(self._spent.seconds())

    def figures(self, goal: str, of: str, number: int) -> Iterator[Figure]:
        """What the arithmetic of docs/scaling.md starts from: each of so many cost that much."""
        for name, seconds in self._cpu.items():
            yield _one(goal, f"CPU for one {of}: {name}", "µs", seconds / number * 1e6)
        yield _one(goal, f"WAL for one {of}", "bytes", self._logged / number)
        yield _one(goal, f"ledger on disk for one {of}", "bytes", self._stored / number)


def _one(goal: str, what: str, unit: str, value: float) -> Figure:
    return Figure(goal, what, unit, Series.of([value]))


def _bare(requests: list[Prepared], receiver: Receiver) -> float:
    """POSTs per second of a bare loop; the receiver has written all of them down."""
    receiver.forget()
    rate = bare_rate(requests, IN_FLIGHT)
    receiver.wait_for(len(requests))
    return rate


def _in_turn(times: int, *sides: Callable[[], float]) -> list[Series]:
    """Several sides by turns: a machine among others is quicker in one minute than in the next."""
    rounds = [[side() for side in sides] for _ in range(times)]
    return [Series.of(found) for found in zip(*rounds, strict=True)]


def _at_once(buses: list, receiver: Receiver, meter: Meter) -> float:
    """POSTs per second from the COMMIT of a transaction that saved them all."""
    receiver.forget()
    with transaction.atomic():
        for bus in buses:
            bus.save()
    start = time.time()
    with meter:
        receiver.wait_for(len(buses))
        return _rate_since(start, buses, receiver)


def _stream(buses: list, receiver: Receiver) -> float:
    """POSTs per second from the first of so many saves in autocommit."""
    receiver.forget()
    start = time.time()
    for bus in buses:
        bus.save()
    receiver.wait_for(len(buses))
    return _rate_since(start, buses, receiver)


def _rate_since(start: float, buses: list, receiver: Receiver) -> float:
    seen = receiver.seen()
    check(len({(one.event, one.path) for one in seen}), len(buses))
    stage.settle()
    return len(buses) / (max(one.answered for one in seen) - start)
