"""Child processes that end with the demo, however it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services import die_with_parent, wait_for

HERE = Path(__file__).parent
FLOWER_CONF = HERE.parent / "flower" / "flowerconfig.py"
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
    """The deployment that ``celeryconfig.example.py`` describes, on a machine of two cores.

    Flower wants task events.
    """
    flags = ["--without-gossip", *(["-E"] if events else [])]
    collection = ["-Q", "doh.collection,doh.maintenance", "-c", "1"]
    element = ["-Q", "doh.element,doh.element_slow", "-P", "threads", "-c", "4"]
    kinds = {"collection": collection, "element1": element, "element2": element}
    return {
        name: celery("worker", "-l", "INFO", "-n", f"{name}@%h", *options, *flags)
        for name, options in kinds.items()
    } | {
        "beat": celery("beat", "-l", "INFO", "-s", str(folder / "beat")),
    }


def flower(port: int) -> list[str]:
    """Flower as ``deploy/flower`` sets it up; the environment has its login."""
    return celery("flower", f"--conf={FLOWER_CONF}", "--address=127.0.0.1", f"--port={port}")


def wait_until_open(name: str, child: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until a child listens on its port."""

    def open_() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    wait_for(name, child, open_)
