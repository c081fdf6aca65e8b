"""P1, P2 and P5: how many POSTs per second, end to end through Celery."""

import time
from collections.abc import Callable, Iterator

from django.db import transaction

from doh.models import Delivery
from tests.bench import peer, stage
from tests.bench.bare import Prepared
from tests.bench.figures import Figure, Series, at_least, at_most
from tests.bench.receiver import Receiver
from tests.bench.run import Run, bare_rate, bare_rates, check, fanned_out, requests_of
from tests.bench.watching import Peak, Spent

#: Requests that the yardstick has under way: more make it no faster.
IN_FLIGHT = 200


def p1(run: Run) -> Iterator[Figure]:
    """One event to many hooks."""
    number = run.scale.hooks
    with run.receiver() as receiver:
        stage.clear()
        bus = stage.vehicle()
        stage.hook_up([bus], stage.targets(receiver, number))
        requests = requests_of([bus])
        with run.stage.workers():
            spent = Spent(run.stage.roots())
            logged = stage.wal()
            yardstick, ours = _in_turn(
                run.repeat,
                lambda: _bare(requests, receiver),
                lambda: fanned_out(bus, receiver, number)[0],
            )
            costs = spent.seconds()
            logged = stage.wal() - logged
            stored = stage.size_of(Delivery)
        most = Series.of([bare_rates(requests, IN_FLIGHT) for _ in range(run.repeat)])
        theirs = peer.rates("fanout", receiver, run.scale.peer, run.repeat)
    what = f"one event to {number:,} hooks"
    yield at_least(0.4, "P1", what, "POST/s", ours, "bare CurlMulti loop", yardstick)
    beside = f"django-webhook, {run.scale.peer:,} hooks"
    yield at_least(200, "P1", what, "POST/s", ours, beside, theirs)
    posts = number * run.repeat
    yield Figure("P1", "a bare loop on each core, and nothing else", "POST/s", most)
    yield from _costs("P1", "POST", costs, posts)
    yield Figure("P1", "WAL for one POST", "bytes", Series.of([logged / posts]))
    yield Figure("P1", "ledger on disk for one POST", "bytes", Series.of([stored / posts]))


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
            spent = Spent(run.stage.roots())
            yardstick, ours = _in_turn(
                min(3, run.repeat),
                lambda: _bare(requests, receiver),
                lambda: _at_once(buses, receiver),
            )
            costs = spent.seconds()
            few = buses[: max(run.scale.peer, 1)]
            stream = Series.of([_stream(few, receiver) for _ in range(min(3, run.repeat))])
        theirs = peer.rates("events", receiver, run.scale.peer, run.repeat)
    what = f"{number:,} events to one hook each, from their COMMIT"
    yield at_least(0.2, "P2", what, "POST/s", ours, "bare CurlMulti loop", yardstick)
    beside = f"django-webhook, {run.scale.peer:,} events"
    yield at_least(100, "P2", what, "POST/s", ours, beside, theirs)
    what = f"a stream of {len(few):,} saves in autocommit, one hook each"
    yield Figure("P2", what, "POST/s", stream, beside, theirs)
    yield from _costs("P2", "event (PostgreSQL: its save too)", costs, number * len(ours.values))


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


def _bare(requests: list[Prepared], receiver: Receiver) -> float:
    """POSTs per second of a bare loop; the receiver has written all of them down."""
    receiver.forget()
    rate = bare_rate(requests, IN_FLIGHT)
    receiver.wait_for(len(requests))
    return rate


def _in_turn(
    times: int, yardstick: Callable[[], float], ours: Callable[[], float]
) -> tuple[Series, Series]:
    """Both sides alternately: a machine among others is quicker in one minute than in the next."""
    pairs = [(yardstick(), ours()) for _ in range(times)]
    return Series.of([one for one, _ in pairs]), Series.of([one for _, one in pairs])


def _costs(goal: str, of: str, costs: dict[str, float], number: int) -> Iterator[Figure]:
    """CPU by process: what the arithmetic of docs/scaling.md starts from."""
    for name, seconds in costs.items():
        each = Series.of([seconds / number * 1e6])
        yield Figure(goal, f"CPU for one {of}: {name}", "µs", each)


def _at_once(buses: list, receiver: Receiver) -> float:
    """POSTs per second from the COMMIT of a transaction that saved them all."""
    receiver.forget()
    with transaction.atomic():
        for bus in buses:
            bus.save()
    start = time.time()
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
