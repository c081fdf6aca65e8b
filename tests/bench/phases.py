"""Where the microseconds go: what an element process does for a batch, phase by phase."""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from doh.deliverers.resolve import dump_for
from doh.dispatch import prepare
from doh.fanout import fan_out
from doh.journal import Ring, get_journal
from doh_tasks.limits import HOLD, admit
from doh_tasks.pump import current_pump, stop_pump
from doh_tasks.pump.pump import Pump
from tests.bench import stage
from tests.bench.bare import Bare, Prepared
from tests.bench.figures import Figure, Series
from tests.bench.run import IN_FLIGHT, Run, requests_of

LEASE: Final = 600.0
FAN_OUT: Final = "collect: find the hooks, write the batches"
CLAIM: Final = "claim a batch"
PREPARE: Final = "read its hooks, check their targets, open their secrets"
SEND: Final = "the pump's loop: sign, POST, take the answer in"
WRITE: Final = "the pump's scribe: judge, write the ledger"
BARE: Final = "the bare loop: POST, take the answer in"
LIKE_OURS: Final = "the bare loop, made for thousands of slow receivers and endless headers"
#: The pump's threads by their names.
_THREADS: Final = {"doh-pump": SEND, "doh-scribe": WRITE}

_Spent = dict[str, float]


def phases(run: Run) -> Iterator[Figure]:
    """One event to many hooks in this process, by the processor's clock of each thread."""
    found: dict[str, list[float]] = {}
    with run.receiver() as receiver:
        stage.clear()
        bus = stage.vehicle()
        stage.hook_up([bus], stage.targets(receiver, run.scale.hooks))
        requests = requests_of([bus])
        with _pump() as pump:
            # The first round fills the caches and opens the connections.
            for number in range(1 + run.repeat):
                bus.save()
                spent = _round(pump)
                _bare(requests, spent, BARE, like_ours=False)
                _bare(requests, spent, LIKE_OURS, like_ours=True)
                stage.forget_events()
                for name, seconds in spent.items() if number else ():
                    found.setdefault(name, []).append(seconds / run.scale.hooks * 1e6)
    for name, values in found.items():
        yield Figure("phases", f"{name}: CPU for one POST", "µs", Series.of(values))


@contextmanager
def _pump() -> Iterator[Pump]:
    """A worker's, which looks for garbage as seldom as a worker."""
    usual = gc.get_threshold()
    try:
        yield current_pump(lambda _journal, _flushed: None)
    finally:
        stop_pump()
        gc.unfreeze()
        gc.set_threshold(*usual)


def _round(pump: Pump) -> _Spent:
    """Seconds of processor time of each phase, for all that is owed."""
    journal = get_journal()
    spent: _Spent = {}
    rings: list[Ring] = []
    with _adding(spent, FAN_OUT):
        while claims := journal.claim_events(500, LEASE):
            rings += [ring for some in fan_out(journal, claims) for ring in some]
    before = _clocks()
    flights = []
    for ring in rings:
        pump.wait_for_room()
        with _adding(spent, CLAIM):
            claim = journal.claim_batch(ring, LEASE)
        with _adding(spent, PREPARE):
            work = None if claim is None else prepare(journal, claim, dump_for)
            if work is not None:
                flights.append(pump.submit(journal, admit(work, HOLD), None))
    for flight in flights:
        flight.done.wait()
    return spent | {name: after - before[name] for name, after in _clocks().items()}


def _clocks() -> _Spent:
    """How long the pump's threads have been running on a processor."""
    idents = {thread.name: thread.ident for thread in threading.enumerate()}
    return {
        phase: time.clock_gettime(time.pthread_getcpuclockid(ident))
        for name, phase in _THREADS.items()
        if (ident := idents[name]) is not None
    }


def _bare(requests: list[Prepared], spent: _Spent, name: str, *, like_ours: bool) -> None:
    loop = Bare(IN_FLIGHT, like_ours=like_ours)
    with _adding(spent, name):
        loop.run(requests, len(requests))
    loop.close()


@contextmanager
def _adding(spent: _Spent, name: str) -> Iterator[None]:
    """Add what this thread spends meanwhile."""
    start = time.thread_time()
    yield
    spent[name] = spent.get(name, 0.0) + time.thread_time() - start
