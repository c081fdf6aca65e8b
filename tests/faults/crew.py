"""The processes of a deployment at a stage: workers, beat, the witness, web processes."""

import os
import signal
import socket
import subprocess
import sys

from services import die_with_parent, free_port

from tests.faults import failpoints
from tests.faults.stage import Stage
from tests.workers import COLLECTION, ELEMENT, ROOT, Workers, wait_until

#: Children of an element worker.
CHILDREN = 2
#: As all documented workers are started.
FLAGS = ("--without-gossip",)


class Crew(Workers):
    """Celery processes at a stage, with the failpoints in them."""

    def __init__(self, stage: Stage, **settings: object) -> None:
        super().__init__(stage.folder)
        self.stage = stage
        self.points = failpoints.Armory(stage.folder / "failpoints")
        self.root = ROOT
        #: More variables for the processes that are started from now on.
        self.extra: dict[str, str] = {failpoints.VARIABLE: str(stage.folder / "failpoints")}
        #: What a worker is started with, such as ``faketime``.
        self.prefix: list[str] = []
        self.overrides = settings
        self._started: dict[str, tuple[str, ...]] = {}

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a process of the Celery app."""
        self._started[name] = arguments
        command = ["-m", "celery", "-A", "tests.faults.celery_app", *arguments]
        return self.python(name, *command)

    def python(self, name: str, *arguments: str, **extra: str) -> "subprocess.Popen[bytes]":
        """Start any Python process; its output goes to a log of its own."""
        path = [self.root, self.root / "deploy" / "demo"]
        environment = self.stage.environment(**self.overrides) | self.extra | extra
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
        with (self.stage.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, "-W", "ignore", *arguments],
                cwd=self.root,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        self.processes[name] = process
        return process

    def deploy(self, elements: int = 1) -> None:
        """Start what a deployment has, with so many element workers."""
        self.start_worker("collection", COLLECTION, 1)
        for number in range(elements):
            self.start_worker(f"element{number}", ELEMENT, CHILDREN)
        self.start("beat", "beat", "-s", str(self.stage.folder / "schedule"))
        for name in ("collection", *(f"element{number}" for number in range(elements))):
            self.ready(name)

    def start_worker(self, name: str, queues: str, children: int, *options: str) -> None:
        """Start a worker; `ready` waits for it."""
        size = options or ("-c", str(children))
        self.start(name, "worker", "-l", "INFO", "-n", f"{name}@%h", "-Q", queues, *size, *FLAGS)

    def ready(self, name: str, times: int = 1) -> None:
        """Wait until a worker has said so many times that it is ready."""
        self.until(lambda: self.log(name).count(" ready.") >= times, name, 90)

    def supervise(self) -> list[str]:
        """Start what has ended by itself again, as a service manager does; returns their names.

        It is needed: a worker that loses Redis with messages in hand may end (kombu 5.7).
        """
        ended = [
            name
            for name in self._started
            if name in self.processes and self.processes[name].poll() is not None
        ]
        for name in ended:
            self.start(name, *self._started[name])
        return ended

    def signal(self, name: str, what: signal.Signals) -> None:
        """Send a signal to a process and its children."""
        os.killpg(self.processes[name].pid, what)

    def end(self) -> None:
        """End everything, at once."""
        for name in list(self.processes):
            process = self.processes.pop(name)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def start_witness(stage: Stage) -> str:
    """Start the witness at its place; returns its address."""
    place, port = stage.places.receiver, free_port()
    with (stage.folder / "witness.log").open("ab") as log:
        process = subprocess.Popen(
            [*place.prefix, sys.executable, "-m", "tests.faults.witness", place.address,
             str(port), str(stage.folder)],
            cwd=ROOT, stdout=log, stderr=log, preexec_fn=die_with_parent(), start_new_session=True,
        )  # fmt: skip
    address = f"{place.address}:{port}"
    wait_until(lambda: _listens(place.address, port), (stage.folder / "witness.log").read_text)
    stage.closing.append(process.kill)
    return address


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
