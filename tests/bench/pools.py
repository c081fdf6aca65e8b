"""Which pool Celery's workers do best with: processes, threads, or processes of threads."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction
from vehicles.models import Vehicle

from tests.bench import pace, stage
from tests.bench.figures import Figure, Series
from tests.bench.receiver import Receiver, nginx
from tests.bench.run import HOSTS, Run, check
from tests.bench.watching import Spent, children, share_of_memory

#: Options of each worker of a kind.
Workers = Sequence[tuple[str, ...]]


def _prefork(number: int) -> tuple[str, ...]:
    return ("-P", "prefork", "-c", str(number))


def _threads(number: int) -> tuple[str, ...]:
    return ("-P", "threads", "-c", str(number))


_ONE: Final[Workers] = [_prefork(1)]
_TWO: Final[Workers] = [_threads(4), _threads(4)]
#: What is compared: workers for collection, workers for element. The first is the documented one.
DEPLOYMENTS: Final[dict[str, tuple[Workers, Workers]]] = {
    "documented: collection 1 process, element 2 processes of 4 threads": (_ONE, _TWO),
    "element 2 processes of 8 threads": (_ONE, [_threads(8), _threads(8)]),
    "element prefork, 2 processes": (_ONE, [_prefork(2)]),
    "element prefork, 4 processes": (_ONE, [_prefork(4)]),
    "element 8 threads": (_ONE, [_threads(8)]),
    "collection 4 threads": ([_threads(4)], _TWO),
}
#: One in so many goes to a straggler: there is one in each batch. It takes so many seconds.
STRAGGLER_IN: Final = 500
STRAGGLER: Final = "straggler"
_SECONDS: Final = 1.5


@dataclass(slots=True)
class _Measured:
    fan_out: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    cpu: float = 0.0
    megabytes: float = 0.0


def pools(run: Run) -> Iterator[Figure]:
    """A large event, many small ones, and a stream, with stragglers in all of them."""
    slow = {STRAGGLER: _SECONDS}
    with nginx(run.stage.folder / "pools", HOSTS, run.certificate, slow=slow) as receiver:
        stage.clear()
        (bus,) = stage.vehicles(1)
        stage.hook_up([bus], _targets(receiver, run.scale.hooks))
        buses = stage.vehicles(run.scale.pooled)
        stage.hook_up(buses, _targets(receiver, run.scale.pooled), one_each=True)
        late = stage.vehicles(HOSTS)
        stage.hook_up(late, stage.targets(receiver, HOSTS, STRAGGLER), one_each=True)
        for name, workers in [*DEPLOYMENTS.items()][: run.scale.pools]:
            stage.forget_events()
            stage.forget_limits()
            with run.stage.workers(_commands(run, *workers)):
                found = _measure(run, receiver, bus, buses)
                prompt = [one for number, one in enumerate(buses[:HOSTS]) if number % STRAGGLER_IN]
                stream = pace.arrivals(receiver, prompt, late, run.scale.paced)
                run.stage.drop()
            yield from _figures(run, name, found, stream)


def _figures(run: Run, name: str, found: _Measured, stream: Series) -> Iterator[Figure]:
    for what, unit, series in (
        (f"one event to {run.scale.hooks:,} hooks", "POST/s", Series.of(found.fan_out)),
        (f"{run.scale.pooled:,} events to one hook", "POST/s", Series.of(found.events)),
        ("stream, half arrive within", "ms", Series.of([stream.median])),
        ("stream, 99 of 100 within", "ms", Series.of([stream.at(0.99)])),
        ("CPU for one POST", "µs", Series.of([found.cpu])),
        ("memory of all workers", "MB", Series.of([found.megabytes])),
    ):
        yield Figure("pools", f"{name}: {what}", unit, series)


def _targets(receiver: Receiver, number: int) -> list[str]:
    return [receiver.url(n, "h" if n % STRAGGLER_IN else STRAGGLER) for n in range(number)]


def _commands(run: Run, collection: Workers, element: Workers) -> dict[str, list[str]]:
    """The documented deployment with other pools; each worker has a name of its own."""
    usual = run.stage.deployment()
    found = {"beat": usual["beat"]}
    for like, workers in (("collection", collection), ("element1", element)):
        for number, options in enumerate(workers, start=1):
            name = f"{like.rstrip('1')}{number}"
            found[name] = [*usual[like], "-n", f"{name}@%h", *options]
    return found


def _measure(run: Run, receiver: Receiver, bus: Vehicle, buses: list[Vehicle]) -> _Measured:
    found = _Measured()
    repeat = min(3, run.repeat)
    _rate(receiver, buses[:HOSTS])  # Connections and imports.
    spent = Spent(run.stage.roots())
    for _ in range(repeat):
        found.fan_out.append(_rate(receiver, [bus], run.scale.hooks))
    posts = run.scale.hooks * repeat
    used = spent.seconds()
    found.cpu = sum(used[kind] for kind in run.stage.roots()) / posts * 1e6
    for _ in range(repeat):
        found.events.append(_rate(receiver, buses))
    found.megabytes = sum(_memory(root) for kind in run.stage.roots().values() for root in kind)
    return found


def _rate(receiver: Receiver, buses: list[Vehicle], number: int | None = None) -> float:
    """POSTs per second from the COMMIT of these saves to the last that went to no straggler."""
    wanted = number or len(buses)
    receiver.forget()
    with transaction.atomic():
        for bus in buses:
            bus.save()
    start = time.time()
    receiver.wait_for(wanted)
    seen = receiver.seen()
    check(len({(one.event, one.path) for one in seen}), wanted)
    prompt = [one.answered for one in seen if f"/{STRAGGLER}/" not in one.path]
    stage.settle()
    return len(prompt) / (max(prompt) - start)


def _memory(root: int) -> float:
    found = 0.0
    for pid in children(root):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += share_of_memory(pid)
    return found
