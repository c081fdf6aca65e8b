"""The sample project beside real servers, and commands of a deployment run as processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.workers import wait_until

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "deploy" / "demo"
BIN = Path(sys.executable).parent
#: Seconds that a deployment gives a process to end.
GRACE = 60


def environment(**variables: str) -> dict[str, str]:
    """What a process of the sample project needs besides the addresses of its servers."""
    return os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(SAMPLE),
        "PYTHONWARNINGS": "ignore",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        **variables,
    }


def django(variables: Mapping[str, str], *arguments: str) -> str:
    """Run a management command of the sample project; returns what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=SAMPLE, env=variables, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def tally(variables: Mapping[str, str], log: Path) -> dict[str, int]:
    """What the listener has, beside what the ledger says."""
    found = json.loads(django(variables, "tally", str(log)))
    assert isinstance(found, dict)
    return found


def wait_until_told(
    variables: Mapping[str, str],
    log: Path,
    explain: Callable[[], str],
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Wait until everything that is owed was received, and the ledger knows."""

    def told() -> bool:
        meanwhile()
        found = tally(variables, log)
        return found["owed"] > 0 and not found["lost"] and not found["unsettled"]

    wait_until(told, lambda: f"{tally(variables, log)}\n{explain()}", 180)


class Commands:
    """Runs commands; at the end each is asked to stop, and must do so by itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Commands":
        return self

    def __exit__(self, *_: object) -> None:
        left = {name: process for name, process in self._running.items() if self.is_up(name)}
        for process in left.values():
            process.terminate()
        late = [name for name, process in left.items() if not _ended(process)]
        assert not late, f"did not end in {GRACE} s: {late}\n{self.logs()}"

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], **options: Any
    ) -> None:
        """Start a command; its output is in a log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True, **options
            )

    def stop(self, name: str) -> None:
        """Ask one to stop, and wait until it has."""
        process = self._running.pop(name)
        process.terminate()
        assert _ended(process), f"{name} did not end in {GRACE} s:\n{self.log(name)[-1500:]}"

    def signal(self, name: str, what: signal.Signals) -> None:
        """Send a signal to one and its children; after SIGKILL, wait until it is gone."""
        process = self._running[name]
        os.killpg(process.pid, what)
        if what == signal.SIGKILL:
            self._running.pop(name).wait()

    def is_up(self, name: str) -> bool:
        """Whether it runs."""
        return self._running[name].poll() is None

    def all_up(self) -> bool:
        """Whether all of them run."""
        return all(self.is_up(name) for name in self._running)

    def names(self) -> list[str]:
        """Those that were started, and not stopped."""
        return list(self._running)

    def logs(self) -> str:
        """The end of what each said."""
        return "\n".join(f"--- {name}\n{self.log(name)[-1500:]}" for name in self._running)

    def log(self, name: str) -> str:
        """What it said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait_for(self, condition: Callable[[], Any], timeout: float = 120) -> None:
        """Wait for a condition, while all of them run."""

        def holds() -> bool:
            assert self.all_up(), self.logs()
            return bool(condition())

        wait_until(holds, self.logs, timeout)


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    return True
