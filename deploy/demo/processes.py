"""Child processes that end with the demo, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services import die_with_parent

HERE = Path(__file__).parent
STOP_TIMEOUT = 30.0


@contextmanager
def running(name: str, command: list[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Python module as a child, its output in a log; gone when the block ends."""
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *command],
            cwd=HERE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
    try:
        yield child
    finally:
        _stop(child)


def _stop(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def celery(*arguments: str) -> list[str]:
    """The command line of a Celery process of the project."""
    return ["celery", "-A", "project", *arguments]


def workers(folder: Path, *, events: bool) -> dict[str, list[str]]:
    """The deployment that ``celeryconfig.example.py`` describes; Flower wants task events."""
    flags = ["-E"] if events else []
    collection = ["-n", "collection@%h", "-Q", "doh.collection,doh.maintenance", "-c", "1"]
    element = ["-n", "element@%h", "-Q", "doh.element", "-c", "2"]
    return {
        "collection": celery("worker", "-l", "INFO", *collection, *flags),
        "element": celery("worker", "-l", "INFO", *element, *flags),
        "beat": celery("beat", "-l", "INFO", "-s", str(folder / "beat")),
    }
