"""The stage: a database, a broker, the documented workers, and objects with hooks."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import dj_database_url
import psycopg
import redis
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.models import Model
from processes import running, workers
from vehicles.models import Vehicle

from doh.fields import encrypt
from doh.models import Batch, Delivery, Event, Hook
from doh.wire.signing import new_secret
from tests.bench.receiver import Receiver
from tests.bench.watching import until

ACTION = "changed"


@dataclass(slots=True)
class Stage:
    """One run's folder, and what is asked of its database."""

    folder: Path
    _stack: ExitStack = field(default_factory=ExitStack)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @contextmanager
    def workers(self, commands: dict[str, list[str]] | None = None) -> Iterator["Stage"]:
        """Run the deployment that ``celeryconfig.example.py`` describes, until it answers.

        ``commands`` are another deployment's.
        """
        with ExitStack() as stack:
            for name, command in (commands or self.deployment()).items():
                (self.folder / f"{name}.log").unlink(missing_ok=True)
                self.processes[name] = stack.enter_context(running(name, command, self.folder))
            until(
                lambda: all(self._is_ready(name) for name in self.processes if "beat" not in name)
            )
            yield self
        self.processes.clear()

    def deployment(self) -> dict[str, list[str]]:
        """The documented deployment's commands."""
        return workers(self.folder, events=False)

    def drop(self) -> None:
        """Kill the workers: what they still have under way concerns nobody any longer."""
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def roots(self) -> dict[str, list[int]]:
        """The processes that run, by kind: element1 is one of element; without their children."""
        found: dict[str, list[int]] = {}
        for name, process in self.processes.items():
            found.setdefault(name.rstrip("0123456789"), []).append(process.pid)
        return found

    def _is_ready(self, name: str) -> bool:
        log = self.folder / f"{name}.log"
        if self.processes[name].poll() is not None:
            raise SystemExit(f"{name} ended:\n{log.read_text()}")
        return " ready." in log.read_text()


@contextmanager
def told(name: str, value: str) -> Iterator[None]:
    """Workers that start now find a variable of `tests.bench.settings` in their environment."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def migrate() -> None:
    """Create the tables, and somebody who owns hooks."""
    call_command("migrate", verbosity=0, stdout=StringIO())
    get_user_model().objects.create(username="ada")


def clear() -> None:
    """Empty the tables, so that a figure does not depend on the ones before it."""
    tables = ", ".join(model._meta.db_table for model in (Hook, Event, Batch, Delivery, Vehicle))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}, doh_attempt CASCADE")


def forget_events() -> None:
    """Empty what the hooks caused; the hooks stay."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE doh_event, doh_batch, doh_delivery, doh_attempt")


def wal() -> float:
    """How many bytes PostgreSQL has ever written ahead."""
    return _asked("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")


def size_of(model: type[Model]) -> float:
    """Bytes of a table, with its indexes."""
    return _asked(f"SELECT pg_total_relation_size('{model._meta.db_table}')")


def _asked(sql: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return float(cursor.fetchone()[0])


def forget_limits() -> None:
    """Forget what is known of hosts: rates, circuits, who is slow. Workers must not run."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    for key in client.scan_iter("doh:{limits}:*", count=1_000):
        client.delete(key)


def vehicle(name: str = "55") -> Vehicle:
    """A vehicle that nobody listens to yet."""
    return Vehicle.objects.create(type="bus", name=name)


def vehicles(number: int) -> list[Vehicle]:
    """So many of them."""
    return Vehicle.objects.bulk_create(Vehicle(type="bus", name=str(n)) for n in range(number))


def hook_up(
    objects: list[Vehicle], targets: Iterator[str] | list[str], *, one_each: bool = False
) -> None:
    """Give the first object a hook for each target, or each object one; secrets all differ."""
    kind = ContentType.objects.get_for_model(Vehicle)
    user = get_user_model().objects.get(username="ada")
    columns = (
        "user_id, content_type_id, object_id, action, target, secret, created_at, disabled_reason"
    )
    with connection.cursor() as cursor:
        connection.ensure_connection()
        with cursor.copy(f"COPY doh_hook ({columns}) FROM STDIN") as copy:
            for number, target in enumerate(targets):
                pk = objects[number if one_each else 0].pk
                token = encrypt(new_secret())
                copy.write_row(
                    (user.pk, kind.pk, str(pk), ACTION, target, token, "2026-01-01T00:00:00Z", "")
                )
        cursor.execute("ANALYZE doh_hook")


def settle(timeout: float = 120) -> None:
    """Wait until the ledger owes nothing, so that nothing runs into the next figure."""
    until(
        lambda: not Batch.objects.exists() and not Event.objects.filter(finished_at=None).exists(),
        timeout,
    )


def create_database(name: str) -> str:
    """A database beside the stage's own; returns its URL."""
    url = os.environ["DATABASE_URL"]
    settings = dj_database_url.parse(url)
    with psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=settings["USER"],
        dbname=settings["NAME"], autocommit=True,
    ) as server:  # fmt: skip
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        server.execute(f"CREATE DATABASE {name}")
    return f"{url.rpartition('/')[0]}/{name}"


def targets(receiver: Receiver, number: int, prefix: str = "h") -> list[str]:
    """So many targets, spread over the receiver's addresses."""
    return [receiver.url(n, prefix) for n in range(number)]
