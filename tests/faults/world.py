"""One row's world: a stage with tables, hooks and processes, and a clock on their settling.

Django is set up before this is imported: the tables are where the stage is.
"""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from time import monotonic, sleep
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connection

from doh.models import Batch, Delivery, Event, Hook
from tests.app.models import Depot
from tests.faults.celery_app import app
from tests.faults.checker import check, look
from tests.faults.crew import CHILDREN, Crew, start_witness
from tests.faults.files import RECEIVED, SECRETS
from tests.faults.report import Result
from tests.faults.stage import BATCH, IN_FLIGHT, Stage
from tests.workers import wait_until

#: Seconds that a row may take to settle once the fault is over.
PATIENCE = 150.0
#: POSTs whose outcome one worker, with all its children, may take with it.
IN_ONE_WORKER = CHILDREN * (IN_FLIGHT + BATCH)


class World:
    """What a row plays with."""

    def __init__(self, stage: Stage, result: Result) -> None:
        self.stage = stage
        self.result = result
        self.folder = stage.folder
        self.random = random.Random(stage.seed)
        self.crew = Crew(stage)
        self.witness = start_witness(stage)
        self._secrets: dict[str, str] = {}
        self._saved = 0
        #: Processes that ended by themselves and were started again.
        self.restarted = 0
        #: What is noted at each look while something is waited for.
        self.note: Callable[[], None] = lambda: None

    def size(self, full: int, small: int) -> int:
        """How many of something this run is to see."""
        return full if self.result.scale == "full" else small

    def hook(self, name: str, manner: str = "ok", **fields: Any) -> Hook:
        """A hook, on every depot that is created; the witness answers it in that manner."""
        if "user" not in fields:
            fields["user"], _ = get_user_model().objects.get_or_create(username="ada")
        if "content_object" not in fields:
            fields |= {"model": Depot, "action": "created"}
        target = f"http://{self.witness}/{name}/{manner}"
        hook: Hook = Hook.objects.create(target=target, **fields)
        self._secrets[name] = hook.secret
        path = self.folder / SECRETS
        path.with_suffix(".new").write_text(json.dumps(self._secrets))
        path.with_suffix(".new").rename(path)
        return hook

    def usual_hooks(self) -> None:
        """Receivers of several manners: quick, slow, slow in the body, now and then refusing."""
        self.hook("quick")
        self.hook("slow", "slow/0.1")
        self.hook("half", "half/0.1")
        self.hook("flaky", "flaky/7")

    def produce(self, count: int, per_second: float, **extra: str) -> "Popen[bytes]":
        """Start a web process that makes so many events at a pace."""
        first, self._saved = self._saved, self._saved + count
        arguments = [str(self.folder), str(first), str(count), str(per_second)]
        return self.crew.python(f"web{first}", "-m", "tests.faults.producer", *arguments, **extra)

    def produced(self, process: "Popen[bytes]") -> None:
        """Wait until a web process has made its events."""
        if process.wait(600):
            self.result.violations.append(f"a web process ended with status {process.returncode}")

    def open(self) -> str:
        """What is not settled yet, in words; empty when everything is."""
        try:
            counts = {
                "events": Event.objects.filter(finished_at=None).count(),
                "batches": Batch.objects.count(),
                "deliveries": Delivery.objects.waiting().count(),
            }
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            return f"no database: {error}"
        return ", ".join(f"{number} {name}" for name, number in counts.items() if number)

    def settle(self, timeout: float = PATIENCE) -> float:
        """Wait until all that is owed is settled; returns how many seconds that took.

        What is not settled by then is for the checker to find.
        """
        started = monotonic()
        try:
            self.wait(lambda: not self.open(), timeout)
        except AssertionError as error:
            self.result.violations.append(f"open {error}")
        taken = monotonic() - started
        self.result.settled = max(self.result.settled, taken)
        return taken

    def delivered(self) -> int:
        """Deliveries in the ledger so far."""
        return Delivery.objects.count()

    def posts(self) -> int:
        """POSTs that the witness has written down so far."""
        path = self.folder / RECEIVED
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait(self, condition: Any, timeout: float = 60) -> None:
        """Wait until it holds, with the service manager at work; fails with what is open."""

        def holds() -> bool:
            self.restarted += len(self.crew.supervise())
            self.note()
            return bool(condition())

        wait_until(holds, self.open, timeout)

    def pause(self, low: float, high: float) -> None:
        """Let some time go by, as much as the seed says."""
        sleep(self.random.uniform(low, high))

    def look(self) -> None:
        """The invariant of ownership must hold now."""
        self.result.violations += [f"ownership: {what}" for what in look()]
        self.result.notes["looks"] = self.result.notes.get("looks", 0) + 1

    def judge(self, bound: int = 0, **options: Any) -> None:
        """Let the checker look at everything, with nobody at work, and fill the result in."""
        self.crew.end()
        found, result = check(self.folder, **options), self.result
        result.events, result.deliveries = found.events, found.deliveries
        result.lost, result.phantom = len(found.lost), len(found.phantom)
        result.duplicates, result.bound = found.duplicates, bound
        if self.restarted:
            result.notes["restarted"] = self.restarted
        result.after_deliver_again = found.after_deliver_again
        result.violations += found.violations()
        if found.duplicates > bound:
            result.violations.append(f"{found.duplicates} duplicates, more than {bound}")


@contextmanager
def world(stage: Stage, result: Result) -> Iterator[World]:
    """A world with empty tables; every process in it ends with it."""
    app.set_default()
    call_command("migrate", run_syncdb=True, verbosity=0)
    made = World(stage, result)
    try:
        yield made
    finally:
        made.crew.end()
        connection.close()
