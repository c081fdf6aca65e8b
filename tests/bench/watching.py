"""Wait for conditions, and watch processes: what needs no Django."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Linux' clock of the time that the scheduler gave to a process, in its clock ids.
_SCHEDULED: Final = 2


def until(condition: Callable[[], bool], timeout: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {timeout:g} s")
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The processes under a process, itself included."""
    found = [pid]
    for parent in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
    return found


class Peak:
    """Watches how large the largest of some groups of processes and their children gets."""

    def __init__(self, groups: Iterable[Iterable[int]]) -> None:
        self._roots = [root for group in groups for root in group]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.megabytes = 0.0

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for root in self._roots:
                for pid in children(root):
                    with suppress(FileNotFoundError, ProcessLookupError):
                        self.megabytes = max(self.megabytes, memory(pid))


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def share_of_memory(pid: int) -> float:
    """Megabytes of a process, what it shares with others divided among them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def cpu(pid: int) -> float:
    """Seconds of CPU that a process and its children that ended have used; 0 once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # Its clock as clock_getcpuclockid(3) names it: what /proc tells are hundredths of a second.
        own = time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:
        return 0.0
    return own + sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def busy(seconds: float) -> float:
    """How much of the whole machine's CPU was used in so many seconds, in percent."""
    total, idle = _machine()
    time.sleep(seconds)
    total_now, idle_now = _machine()
    return 100 * (1 - (idle_now - idle) / (total_now - total))


def _machine() -> tuple[int, int]:
    ticks = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return sum(ticks), ticks[3] + ticks[4]


def sleeps(pid: int) -> int:
    """How often the threads of a process have gone to sleep, and so had to be woken."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(FileNotFoundError, ProcessLookupError):
            text = status.read_text()
            found += int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return found


def open_files(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def python(*arguments: str, **environment: str) -> str:
    """Run a Python module of the benchmark in a process of its own; returns what it said."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *arguments],
        env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout


def servers() -> dict[str, list[int]]:
    """PostgreSQL and Valkey, which `services.py` started beside us."""
    found: dict[str, list[int]] = {"PostgreSQL": [], "Valkey": []}
    for pid in children(os.getppid()):
        with suppress(FileNotFoundError, ProcessLookupError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"postgres" in command.split(b"\0")[0]:
                found["PostgreSQL"].append(pid)
            elif b"valkey-server" in command:
                found["Valkey"].append(pid)
    return found


class Spent:
    """Adds up the seconds of CPU that groups of processes spend."""

    def __init__(self, roots: Mapping[str, Iterable[int]]) -> None:
        self._roots = roots
        self._before = self._now()

    def seconds(self) -> dict[str, float]:
        """Since the beginning, by group."""
        return {
            name: sum(used - self._before[name].get(pid, 0.0) for pid, used in now.items())
            for name, now in self._now().items()
        }

    def _now(self) -> dict[str, dict[int, float]]:
        groups = {
            name: [pid for root in roots for pid in children(root)]
            for name, roots in self._roots.items()
        } | servers()
        return {name: {pid: cpu(pid) for pid in pids} for name, pids in groups.items()}
