"""One run of the benchmark: how large, how often, on which stage."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from vehicles.models import Vehicle

from doh.deliverers.resolve import dump_for
from doh.dispatch import prepare
from doh.fanout import fan_out
from doh.journal import get_journal
from tests.bench import stage
from tests.bench.bare import Bare, Prepared, prepared
from tests.bench.figures import Series
from tests.bench.receiver import Receiver, nginx
from tests.bench.stage import Stage


@dataclass(frozen=True, slots=True)
class Scale:
    """How large each piece of work is."""

    hooks: int
    events: int
    sizes: tuple[int, ...]
    saved: tuple[int, ...]
    saves: int
    arrivals: int
    rows: int
    due: int
    hosts: int
    idle: float
    slow: int
    receivers: int
    slowest: float
    noise: float
    crowd: int
    pumped: int
    aloft: int
    pooled: int
    paced: float
    old: int
    streamed: float
    pools: int
    peer: int


FULL = Scale(
    hooks=20_000, events=20_000, sizes=(100, 2_000, 20_000, 200_000, 1_000_000),
    saved=(1, 2_000, 100_000), saves=200, arrivals=200, rows=10_000_000, due=1_000, hosts=1_000,
    idle=30, slow=50_000, receivers=1_000, slowest=10, noise=60,
    crowd=1_000, pumped=20_000, aloft=2_000, pooled=5_000, paced=10, old=1_000_000, streamed=15,
    pools=6, peer=500,
)  # fmt: skip
SMALL = Scale(
    hooks=1_000, events=500, sizes=(100, 2_000), saved=(1, 200), saves=10, arrivals=5,
    rows=10_000, due=100, hosts=20, idle=2, slow=400, receivers=200, slowest=1, noise=3,
    crowd=50, pumped=500, aloft=200, pooled=200, paced=1, old=20_000, streamed=1, pools=2, peer=20,
)  # fmt: skip


def resized(scale: Scale, sizes: Iterable[str]) -> Scale:
    """The scale with some sizes of one's own, such as ``slow=5000``."""
    for size in sizes:
        name, _, number = size.partition("=")
        kind = type(getattr(scale, name, None))
        if kind not in (int, float):
            raise SystemExit(f"no such size: {name}; there are {', '.join(Scale.__slots__)}")
        scale = replace(scale, **{name: kind(number)})
    return scale


#: Plain receivers, on as many loopback addresses.
HOSTS = 100
#: Requests that a bare loop has under way: more make it no faster.
IN_FLIGHT = 200


@dataclass(frozen=True, slots=True)
class Run:
    """What every goal is given."""

    stage: Stage
    scale: Scale
    repeat: int
    certificate: Path
    ca_bundle: Path

    @contextmanager
    def receiver(self, name: str = "receiver") -> Iterator[Receiver]:
        """A quick receiver on many addresses."""
        with nginx(self.stage.folder / name, HOSTS, self.certificate) as receiver:
            yield receiver

    def bare(self, requests: list[Prepared], in_flight: int, **options: object) -> Series:
        """Requests per second of a bare loop, each time with connections of its own."""
        return Series.of([bare_rate(requests, in_flight, **options) for _ in range(self.repeat)])


def bare_rate(requests: list[Prepared], in_flight: int, **options: object) -> float:
    """Requests per second of a bare loop with connections of its own."""
    loop = Bare(in_flight, **options)  # type: ignore[arg-type]
    rate = len(requests) / loop.run(requests, len(requests))
    loop.close()
    return rate


def bare_rates(requests: list[Prepared]) -> float:
    """Requests per second of as many bare loops at once as there are cores: what they can make."""
    rates = on_each_core(lambda _core, _cores: bare_rate(requests, IN_FLIGHT))
    return len(rates) * min(rates)


def on_each_core(work: Callable[[int, int], float]) -> list[float]:
    """What a piece of work says in as many processes at once as there are cores.

    It is told which of them it is, and how many there are.
    """
    fork = get_context("fork")  # So that what the work needs has not to be sent to the others.
    said = fork.SimpleQueue()
    cores = os.cpu_count() or 1
    processes = [
        fork.Process(target=lambda core=core: said.put(work(core, cores))) for core in range(cores)
    ]
    for one in processes:
        one.start()
    for one in processes:
        one.join()
        if one.exitcode:
            raise SystemExit("what was to run on each core failed; see above")
    return [said.get() for _ in processes]


def requests_of(vehicles: Iterable[Vehicle]) -> list[Prepared]:
    """The very requests that saving these causes, signed and ready; the ledger forgets them."""
    for vehicle in vehicles:
        vehicle.save()
    journal = get_journal()
    requests = []
    while claims := journal.claim_events(500, 600):
        for rings in fan_out(journal, claims):
            for ring in rings:
                claim = journal.claim_batch(ring, 600)
                work = None if claim is None else prepare(journal, claim, dump_for)
                requests += [] if work is None else [job.request() for job in work.jobs]
    stage.forget_events()
    return list(prepared(requests))


def fanned_out(vehicle: Vehicle, receiver: Receiver, number: int) -> tuple[float, float]:
    """Save once; returns POSTs per second until the last one arrived, and seconds to the first."""
    receiver.forget()
    start = time.time()
    vehicle.save()
    receiver.wait_for(number)
    seen = receiver.seen()
    check(len({(one.event, one.path) for one in seen}), number)
    stage.settle()
    last = max(one.answered for one in seen)
    return number / (last - start), min(one.came for one in seen) - start


def check(found: int, expected: int) -> None:
    """What was counted at the receiver must be what was owed."""
    if found != expected:
        raise SystemExit(f"The receiver saw {found} of {expected}.")
