"""A web process: saves in and outside of transactions, and notes each save that has committed.

``python -m tests.faults.producer FOLDER FIRST COUNT PER_SECOND``. Saves FIRST to FIRST + COUNT - 1
each create one depot whose name is the number, half of them in autocommit; a name of ``x…`` is one
that was rolled back. With ``DOH_COMMIT_KILL`` in the environment the process ends itself around a
COMMIT, a random one.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection, transaction

from tests.faults.celery_app import app  # sets Django up, so it comes first

# isort: split

from tests.app.models import Depot
from tests.faults.files import COMMITTED, REFUSED, SEED

KILL = "DOH_COMMIT_KILL"
#: Commits among which one is chosen to die at, and seconds around it.
WITHIN, AROUND = 20, 0.003


class Producer:
    """Makes events of every kind of transaction."""

    def __init__(self, folder: Path) -> None:
        self._committed = os.open(folder / COMMITTED, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._refused = os.open(folder / REFUSED, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def run(self, first: int, count: int, per_second: float) -> None:
        """Save so many, at a pace; what the database refuses is noted, and is no event."""
        started = time.monotonic()
        for number in range(first, first + count):
            self._save(number)
            ahead = (number - first + 1) / per_second - (time.monotonic() - started)
            time.sleep(max(0.0, ahead))

    def _save(self, number: int) -> None:
        way = random.choice((autocommit,) * 3 + (atomic, savepoint, rolled_back))
        try:
            way(str(number))
        except (DatabaseError, InterfaceError) as error:
            _append(
                self._refused,
                {"name": str(number), "error": type(error.__cause__ or error).__name__},
            )
            connection.close()
            time.sleep(0.05)
        else:
            _append(self._committed, {"name": str(number), "at": time.time()})


def autocommit(name: str) -> None:
    Depot.objects.create(name=name)


def atomic(name: str) -> None:
    with transaction.atomic():
        Depot.objects.create(name=name)


def savepoint(name: str) -> None:
    """A rolled back savepoint inside of a transaction that commits."""
    with transaction.atomic():
        _undone(name)
        Depot.objects.create(name=name)


def rolled_back(name: str) -> None:
    """One transaction that rolls back, and one that does not."""
    _undone(name)
    atomic(name)


def _undone(name: str) -> None:
    class UndoneError(Exception):
        """Rolls back."""

    try:
        with transaction.atomic():
            Depot.objects.create(name=f"x{name}")
            raise UndoneError
    except UndoneError:
        pass


def _append(fd: int, line: dict[str, object]) -> None:
    os.write(fd, json.dumps(line).encode() + b"\n")
    os.fsync(fd)


def die_around_a_commit() -> None:
    """Kill this process before, during or after the commit of one of the next transactions."""
    chosen, moment = random.randint(1, WITHIN), random.uniform(-AROUND, AROUND)
    commit: Callable[[], None] = connection._commit
    seen = 0

    @wraps(commit)
    def committing() -> None:
        nonlocal seen
        seen += 1
        if seen == chosen:
            if moment < 0 and -moment > AROUND / 2:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Thread(target=_die_in, args=(abs(moment),), daemon=True).start()
        commit()

    connection._commit = committing


def _die_in(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Save what the command line asks for."""
    app.set_default()
    folder, first, count, per_second = sys.argv[1:]
    random.seed(f"{os.environ[SEED]} {first}")
    if KILL in os.environ:
        connection.ensure_connection()
        die_around_a_commit()
    Producer(Path(folder)).run(int(first), int(count), float(per_second))


if __name__ == "__main__":
    main()
