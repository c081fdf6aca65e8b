"""One element process with as many POSTs in the air as it may have, by the receivers' latency."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Final

from tests.bench import stage
from tests.bench.figures import Figure, Series
from tests.bench.receiver import Receiver, Seen, nginx
from tests.bench.run import Run, check
from tests.bench.watching import cpu, memory, open_files, sleeps

#: What receivers take, by the path that they are asked for; beside these there are slow ones.
LATENCIES: Final = {"now": 0.0, "quick": 0.02, "usual": 0.2}
_SLOW: Final = "slow"


class Watch:
    """What one process takes while something goes on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.megabytes = 0.0
        self.files = 0
        self.cpu = -cpu(pid)
        self.sleeps = -sleeps(pid)
        self._over = Event()
        self._thread = Thread(target=self._look)

    def begin(self) -> None:
        """Look at it a few times a second."""
        self._thread.start()

    def end(self) -> None:
        """Add up."""
        self._over.set()
        self._thread.join()
        self.cpu += cpu(self._pid)
        self.sleeps += sleeps(self._pid)

    def _look(self) -> None:
        while not self._over.wait(0.05):
            with suppress(FileNotFoundError, ProcessLookupError):
                self.megabytes = max(self.megabytes, memory(self._pid))
                self.files = max(self.files, open_files(self._pid))


def pump(run: Run) -> Iterator[Figure]:
    """One event to many hooks, taken by a single process."""
    latencies = LATENCIES | {_SLOW: run.scale.slowest}
    slow = {path: seconds for path, seconds in latencies.items() if seconds}
    with nginx(run.stage.folder / "pump", 100, run.certificate, slow=slow) as receiver:
        for path, seconds in latencies.items():
            # No more slow ones than may be in the air: the others would only wait for them.
            number = run.scale.aloft if path == _SLOW else run.scale.pumped
            for what, unit, value in _measured(run, receiver, path, number):
                name = f"receivers of {seconds * 1000:,.0f} ms: {what}"
                yield Figure("pump", name, unit, Series.of([float(value)]))


def _measured(run: Run, receiver: Receiver, path: str, number: int) -> list[tuple[str, str, float]]:
    stage.clear()
    stage.forget_limits()
    warm, bus = stage.vehicles(2)
    stage.hook_up([warm], stage.targets(receiver, 100))
    stage.hook_up([bus], stage.targets(receiver, number, path))
    commands = run.stage.deployment()
    del commands["element2"]
    with run.stage.workers(commands):
        receiver.forget()
        warm.save()
        receiver.wait_for(100)
        stage.settle()
        with _watched(run) as watch:
            receiver.forget()
            start = time.time()
            bus.save()
            receiver.wait_for(number)
            stage.settle()
    seen = receiver.seen()
    check(len({one.path for one in seen}), number)
    rate = number / (max(one.answered for one in seen) - start)
    return [
        ("rate", "POST/s", rate),
        ("in the air at once", "POSTs", most_at_once(seen)),
        ("CPU for one POST", "µs", watch.cpu / number * 1e6),
        ("wake-ups for one POST", "", watch.sleeps / number),
        ("memory", "MB", watch.megabytes),
        ("open files", "", watch.files),
    ]


@contextmanager
def _watched(run: Run) -> Iterator[Watch]:
    """The one element worker: a pool of threads has no other process."""
    (element,) = run.stage.roots()["element"]
    watch = Watch(element)
    watch.begin()
    try:
        yield watch
    finally:
        watch.end()


def most_at_once(seen: list[Seen]) -> int:
    """How many requests were with the receiver at the same time."""
    steps = [(one.came, 1) for one in seen] + [(one.answered, -1) for one in seen]
    now = most = 0
    # What came and was answered in one millisecond counts, too.
    for _, step in sorted(steps, key=lambda one: (one[0], -one[1])):
        now += step
        most = max(most, now)
    return most
