"""P3 and P4: what a ``save()`` pays, and how soon its event arrives."""

import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Final

import redis
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from vehicles.models import Remark, Vehicle

from doh import conf
from doh.silence import silenced
from tests.bench import peer, relay, stage
from tests.bench.figures import Figure, Series, at_most
from tests.bench.receiver import Receiver
from tests.bench.run import Run

#: Saves that don't count: an idle system is not one that has just been started.
_COLD: Final = 20


def p3(run: Run) -> Iterator[Figure]:
    """What a save pays over a plain one: until its COMMIT, and after it.

    Objects with few and with many hooks take turns: a machine among others is quicker in one
    minute than in the next.
    """
    costs = {}
    with run.receiver() as receiver:
        stage.clear()
        buses = {number: stage.vehicle() for number in run.scale.saved}
        for number, bus in buses.items():
            stage.hook_up([bus], stage.targets(receiver, number))
        rounds = [
            {number: _saves(bus, run.scale.saves) for number, bus in buses.items()}
            for _ in range(run.repeat)
        ]
        for number in buses:
            measured = [one[number] for one in rounds]
            plain, insert, until_commit, after = (
                Series.of(values) for values in zip(*measured, strict=True)
            )
            costs[number] = until_commit
            hooks = f"{number:,} hooks" if number > 1 else "1 hook"
            what = f"save() with {hooks}, until COMMIT: beyond a plain save"
            ratio = Series.of(
                [(c - a) / (b - a) for a, b, c, _ in measured],
            )
            yield Figure(
                "P3",
                what,
                "ms",
                _less(until_commit, plain),
                "one more INSERT",
                _less(insert, plain),
            )
            yield at_most(2.5, "P3", f"the same in INSERTs, {hooks}", "x", ratio)
            yield Figure("P3", f"save() with {hooks}, after COMMIT", "ms", after)
        theirs = peer.saves(receiver, run.scale.peer, run.repeat)
    few, many = run.scale.saved[0], run.scale.saved[-1]
    # Each round by itself: between two of them the machine may have got half as quick.
    pairs = zip(costs[few].values, costs[many].values, strict=True)
    yield _as_much(
        f"save() until COMMIT at {many:,} hooks: difference from {few:,}",
        Series.of([100 * (b / a - 1) for a, b in pairs]),
    )
    beside = f"django-webhook, {run.scale.peer:,} hooks"
    yield Figure(
        "P3", f"save() with {many:,} hooks, until COMMIT", "ms", costs[many], beside, theirs
    )
    yield from _after_commit(buses[many], run)
    yield _unheard(run.repeat)


def p4(run: Run) -> Iterator[Figure]:
    """From save to arrival, one at a time."""
    with run.receiver() as receiver:
        stage.clear()
        bus = stage.vehicle()
        stage.hook_up([bus], stage.targets(receiver, 1))
        arrived = [_arrivals(run, bus, receiver, here=here) for here in (False, True)]
        with run.stage.workers():
            twice = relay.times(run.scale.arrivals, _COLD)
        theirs = Series.of(peer.latencies(receiver, _COLD + run.scale.arrivals).values[_COLD:])
    ours, here = map(Series.of, arrived)
    for where, mine in (("idle system", ours), ("delivered where it was collected", here)):
        half, most = (f"save to arrival, {where}{rest}" for rest in ("", ", 99 of 100"))
        yield _within(20, half, mine, theirs)
        yield _within(40, most, _slowest(mine), _slowest(theirs))
    what = "two tasks that do nothing, the first of which sends the second"
    yield Figure("P4", what, "ms", twice)


def _within(limit: float, what: str, ours: Series, theirs: Series) -> Figure:
    met = ours.median <= limit
    return Figure("P4", what, "ms", ours, "django-webhook", theirs, f"<= {limit:g} ms", met)


def _slowest(times: Series) -> Series:
    return Series.of([times.at(0.99)])


def _arrivals(run: Run, bus: Vehicle, receiver: Receiver, *, here: bool) -> list[float]:
    """Milliseconds from saves to their arrival; each worker has had something to do before."""
    taken = []
    with stage.told("BENCH_HERE", "1" if here else ""), run.stage.workers():
        for _ in range(_COLD + run.scale.arrivals):
            time.sleep(random.uniform(0.05, 0.15))
            receiver.forget()
            start = time.time()
            bus.save()
            receiver.wait_for(1)
            taken.append((receiver.seen()[0].came - start) * 1000)
    return taken[_COLD:]


def _saves(bus: Vehicle, number: int) -> tuple[float, float, float, float]:
    """Milliseconds of a plain save, one with an INSERT, and one with hooks: before and after."""
    taken: dict[str, list[float]] = {"plain": [], "insert": [], "until": [], "after": []}
    for _ in range(number):
        with silenced():
            taken["plain"].append(_until_commit(bus.save)[0])
            taken["insert"].append(_until_commit(lambda: _save_and_insert(bus))[0])
        until_commit, after = _until_commit(bus.save)
        taken["until"].append(until_commit)
        taken["after"].append(after)
    plain, insert, until_commit, after = (Series.of(values).median for values in taken.values())
    return plain, insert, until_commit, after


def _save_and_insert(bus: Vehicle) -> None:
    bus.save()
    Remark.objects.create(kind="plain", text="one more row of the project's own")


def _until_commit(work: Callable[[], object]) -> tuple[float, float]:
    committed = []
    start = time.perf_counter()
    with transaction.atomic():
        transaction.on_commit(lambda: committed.append(time.perf_counter()))
        work()
    return (committed[0] - start) * 1000, (time.perf_counter() - committed[0]) * 1000


def _less(series: Series, other: Series) -> Series:
    return Series.of([a - b for a, b in zip(series.values, other.values, strict=True)])


def _as_much(what: str, percent: Series) -> Figure:
    """A difference that is to be none, either way."""
    limit = 10
    return Figure("P3", what, "%", percent, want=f"<= {limit} %", met=abs(percent.median) <= limit)


def _after_commit(bus: Vehicle, run: Run) -> Iterator[Figure]:
    """What many saves say to Redis: nobody else speaks to it here."""
    said = [_said(bus, run.scale.saves) for _ in range(run.repeat)]
    rings, messages = map(Series.of, zip(*said, strict=True))
    yield at_most(1, "P3", "after COMMIT: round trips to Redis", "per save", rings)
    yield at_most(1, "P3", "after COMMIT: messages", "per period", messages)


def _said(bus: Vehicle, number: int) -> tuple[float, float]:
    """Round trips to Redis for each save, and messages for each doorbell period."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    client.config_resetstat()
    start = time.monotonic()
    for _ in range(number):
        bus.save()
    periods = 1 + (time.monotonic() - start) / conf.doorbell_period()
    calls = {name: value["calls"] for name, value in client.info("commandstats").items()}
    rings, messages = calls.get("cmdstat_set", 0), calls.get("cmdstat_lpush", 0)
    return rings / number, messages / periods


def _unheard(times: int) -> Figure:
    """What a save pays that nobody listens to."""
    bus = stage.vehicle("56")
    more = Series.of([_queries(bus.save) - _queries(lambda: _silently(bus)) for _ in range(times)])
    return at_most(1, "P3", "save() without hooks: queries beyond a plain save", "queries", more)


def _silently(bus: Vehicle) -> None:
    with silenced():
        bus.save()


def _queries(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)
