"""P1, P2 and P5: how many POSTs per second, end to end through Celery."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from django.db import transaction
from vehicles.models import Vehicle

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
            meter = Meter(run.stage.roots(), number)

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
    yield from meter.figures("P1", "POST")


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
            meter = Meter(run.stage.roots(), number)
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
    yield from meter.figures("P2", "event from its COMMIT")


def p5(run: Run) -> Iterator[Figure]:
    """One event to ever more hooks: rate, first arrival, and memory of the workers."""
    sizes = run.scale.sizes
    with run.receiver() as receiver:
        stage.clear()
        buses = dict(zip(sizes, stage.vehicles(len(sizes)), strict=True))
        for size, bus in buses.items():
            stage.hook_up([bus], stage.targets(receiver, size))
        rounds = [_ever_more(run, receiver, buses) for _ in range(run.repeat)]
    found = {size: [one[size] for one in rounds] for size in sizes}
    for size, grown in found.items():
        yield Figure("P5", f"{size:,} hooks: rate", "POST/s", _of(grown, "rate"))
        what = f"{size:,} hooks: largest worker process"
        yield Figure("P5", what, "MB", _of(grown, "megabytes"))
    usual = run.scale.hooks if run.scale.hooks in sizes else sizes[0]
    few, many = found[usual], found[sizes[-1]]
    what = f"one event to {sizes[-1]:,} hooks"
    beside = f"{usual:,} hooks"
    yield at_least(0.85, "P5", what, "POST/s", _of(many, "rate"), beside, _of(few, "rate"))
    # Each round by itself: it has workers of its own.
    more = Series.of([b.megabytes - a.megabytes for a, b in zip(few, many, strict=True)])
    yield at_most(30, "P5", f"{what}: memory beyond that of {beside}", "MB", more)
    yield at_most(2, "P5", f"{what}: until the first arrives", "s", _of(many, "first"))


class _Grown(NamedTuple):
    """What one size came to: POSTs per second, seconds until the first, the largest worker."""

    rate: float
    first: float
    megabytes: float


def _of(grown: Iterable[_Grown], name: str) -> Series:
    return Series.of([getattr(one, name) for one in grown])


def _ever_more(run: Run, receiver: Receiver, buses: Mapping[int, Vehicle]) -> dict[int, _Grown]:
    """One size after the other, by workers that have just been started."""
    found = {}
    stage.forget_events()
    with run.stage.workers():
        for size, bus in buses.items():
            with Peak(run.stage.roots().values()) as peak:
                rate, first = fanned_out(bus, receiver, size)
            found[size] = _Grown(rate, first, peak.megabytes)
    return found


class Meter:
    """What a piece of work costs, each time that it is done: CPU by process, and bytes.

    ``number`` is how many POSTs or events it is done for each time.
    """

    def __init__(self, roots: Mapping[str, Iterable[int]], number: int) -> None:
        self._roots = roots
        self._number = number
        self._costs: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def __enter__(self) -> None:
        self._spent = Spent(self._roots)
        self._before = stage.wal(), stage.size_of(Delivery)

    def __exit__(self, *_: object) -> None:
        logged, stored = self._before
        for name, seconds in self._spent.seconds().items():
            self._add(f"CPU for one {{}}: {name}", "µs", seconds * 1e6)
        self._add("WAL for one {}", "bytes", stage.wal() - logged)
        self._add("ledger on disk for one {}", "bytes", stage.size_of(Delivery) - stored)

    def _add(self, what: str, unit: str, cost: float) -> None:
        self._costs[what, unit].append(cost / self._number)

    def figures(self, goal: str, of: str) -> Iterator[Figure]:
        """What the arithmetic of docs/scaling.md starts from."""
        for (what, unit), costs in self._costs.items():
            yield Figure(goal, what.format(of), unit, Series.of(costs))


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
