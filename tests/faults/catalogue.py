"""The rows: what each breaks, what it claims, and what it needs of a machine."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tests.faults.stage import RABBITMQ, VALKEY

BOTH = (VALKEY, RABBITMQ)


@dataclass(frozen=True)
class Row:
    """One fault. ``path`` names its function, ``module:function`` under ``tests.faults.rows``."""

    number: int
    title: str
    path: str
    brokers: tuple[str, ...] = (VALKEY,)
    #: ``module:function`` of what makes its places and server options, a context manager.
    setting: str | None = None
    #: Whether its times are part of what it tells: then nothing else runs beside it.
    quiet: bool = False

    def function(self) -> Callable[..., Any]:
        """What runs the row; it is imported once Django is set up."""
        return _find(self.path)

    def preparation(self) -> Callable[..., AbstractContextManager[dict[str, Any]]] | None:
        """What prepares its machine, before any server is started."""
        return None if self.setting is None else _find(self.setting)


def _find(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(f"tests.faults.{module}"), name)


ROWS = (
    Row(1, "SIGKILL of a worker", "rows.workers:killed", BOTH),
    Row(2, "SIGKILL of the web process around COMMIT", "rows.web:killed"),
    Row(3, "the broker forgets everything", "rows.brokers:forgets", BOTH, quiet=True),
    Row(4, "RabbitMQ stopped and started", "rows.brokers:stopped", (RABBITMQ,)),
    Row(5, "PostgreSQL stopped at once", "rows.database:stopped"),
    Row(6, "PostgreSQL's disk full", "rows.database:full", setting="disks:small_disks"),
    Row(7, "the network cut for 10 s", "rows.network:cut", BOTH, setting="namespaces:three_hosts"),
    Row(8, "a worker stands still past its lease", "rows.workers:stopped", BOTH),
    Row(9, "hostile receivers", "rows.receivers:hostile", quiet=True),
    Row(10, "a worker's clock 10 minutes off", "rows.clock:shifted"),
    Row(11, "noisy neighbours", "rows.receivers:noisy", quiet=True),
    Row(12, "two sweeps, every message three times", "rows.brokers:repeated", BOTH),
    Row(13, "a chord or its body killed", "rows.workers:chord_body", BOTH),
    Row(14, "a rolling upgrade and the way back", "rows.upgrade:rolling", BOTH),
    Row(15, "hook, user, object deleted before the flush", "rows.web:deleted"),
)


def rows_for(numbers: list[int], broker: str) -> Iterator[Row]:
    """The rows of these numbers (all, if none) that are run on a broker."""
    for row in ROWS:
        if broker in row.brokers and (not numbers or row.number in numbers):
            yield row
