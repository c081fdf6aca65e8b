"""Real Celery processes for tests, on the tests' own database."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.request import urlopen

from django.db import connection

ROOT = Path(__file__).parent.parent
COLLECTION = "doh.collection,doh.maintenance"
ELEMENT = "doh.element,doh.element_slow"


class Workers:
    """Starts processes of the project and ends them; their output is in a log.

    ``variables`` are added to their environment, ``settings`` to Django's.
    """

    def __init__(
        self, folder: Path, variables: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        self._folder = folder
        self._variables = variables or {}
        self._settings = settings
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        """Ask them all to stop; whatever happens meanwhile, none of them outlives the test."""
        running = dict(self.processes)
        try:
            for process in running.values():
                if process.poll() is None:
                    process.terminate()
            for name in running:
                self.wait(name)
        finally:
            for process in running.values():
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a process of the Celery app: its command and options."""
        return self.run(
            name, "coverage", "run", "-m", "celery", "-A", "tests.celery_app", *arguments
        )

    def run(self, name: str, *module: str) -> "subprocess.Popen[bytes]":
        """Start a module of Python's: its name and arguments."""
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", *module],
                cwd=ROOT,
                env=_environment(self._settings) | self._variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def worker(self, name: str, queues: str, *options: str) -> "subprocess.Popen[bytes]":
        """Start a worker on some queues, and wait until it is ready."""
        before = self.log(name).count(" ready.")
        flags = ["-l", "INFO", "-n", f"{name}@%h", "-Q", queues]
        process = self.start(name, "worker", *flags, *(options or ("-c", "1")))
        self.until(lambda: self.log(name).count(" ready.") > before, name)
        return process

    def beat(self) -> None:
        """Start beat."""
        self.start("beat", "beat", "-s", str(self._folder / "schedule"))

    def all(self) -> "Workers":
        """Start what a deployment has."""
        self.worker("collection", COLLECTION)
        self.worker("element", ELEMENT, "-P", "threads", "-c", "4")
        self.beat()
        return self

    def kill(self, name: str) -> None:
        """End a process and its children at once, without a word."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def wait(self, name: str) -> int:
        """Wait until a process ended; returns its status."""
        process = self.processes.pop(name)
        try:
            return process.wait(120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"{name} did not end:\n{self.log(name)}") from None

    def log(self, name: str) -> str:
        """What a process has said."""
        path = self._folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def until(self, condition: Any, name: str, timeout: float = 120) -> None:
        """Wait for a condition; fails with what a process has said."""
        wait_until(condition, lambda: self.log(name), timeout)


def management(*arguments: str, **settings: Any) -> dict[str, Any]:
    """What starts a management command of the project: arguments of `subprocess.run`."""
    program = (
        "import tests.celery_app, django.core.management as management;"
        "management.execute_from_command_line()"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    return {"args": command, "env": _environment(settings), "cwd": ROOT}


def _environment(settings: dict[str, Any]) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "DOH_TEST_DATABASE": str(connection.settings_dict["NAME"]),
        "DOH_TEST_SETTINGS": json.dumps(settings),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'deploy' / 'demo'}",
    }


def free_ports(number: int) -> int:
    """The first of so many free ports in a row, below those that the system gives away."""
    for first in random.sample(range(20_000, 30_000, number), 100):
        with suppress(OSError), ExitStack() as stack:
            for port in range(first, first + number):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError(f"no {number} free ports in a row")


def scrape(port: int, host: str = "127.0.0.1") -> str:
    """What Prometheus would be told at a port; nothing if nobody answers."""
    try:
        with urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def delivered(port: int, host: str = "127.0.0.1") -> float:
    """How many deliveries the process behind a port has made, by its own metrics."""
    lines = r'^doh_deliveries_total\{.*doh_outcome="succeeded".*\} (\S+)$'
    return sum(float(one) for one in re.findall(lines, scrape(port, host), re.MULTILINE))


def wait_until(condition: Any, explain: Any = lambda: "", timeout: float = 120) -> None:
    """Wait until a condition holds; fails with an explanation."""
    deadline = monotonic() + timeout
    while not condition():
        if monotonic() > deadline:
            raise AssertionError(f"not in {timeout:g} s\n{explain()}")
        sleep(0.05)
