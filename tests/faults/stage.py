"""What a row needs before Django knows where its tables are: servers, a folder, an environment."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.files import FOLDER, SEED
from tests.faults.servers import Postgres, Prefix, Rabbit, Valkey

VALKEY, RABBITMQ = "valkey", "rabbitmq"

#: Short leases, deadline and schedule; few POSTs at once, so that the bound on duplicates is low.
LEASE, DEADLINE, IN_FLIGHT, BATCH = 4, 1, 50, 25
SETTINGS: dict[str, Any] = {
    "HOOK_COLLECTION_DELIVERER": "tests.faults.deliverers.Telling.delay",
    "HOOK_ELEMENT_DELIVERER": "doh.deliverers.deliver_hook_using_task",
    # This machine, and the hosts of `tests.faults.namespaces`.
    "HOOK_ALLOWED_NETWORKS": ["127.0.0.0/8", "10.77.0.0/16"],
    "HOOK_LEASE": LEASE,
    "HOOK_QUEUE_LEASE": LEASE,
    "HOOK_TOTAL_TIMEOUT": DEADLINE,
    "HOOK_CONNECT_TIMEOUT": DEADLINE,
    # A host whose circuit is open is owed for longer than a row has time.
    "HOOK_CIRCUIT_BREAKER": None,
    "HOOK_MAX_IN_FLIGHT": IN_FLIGHT,
    "HOOK_BATCH_SIZE": BATCH,
    "HOOK_RETRY_SCHEDULE": [0, 0.5, *[1] * 60],
    "HOOK_DOORBELL_PERIOD": 1,
}
#: For rows in which no POST is to be given up: a receiver's disk may take its time.
PATIENT: dict[str, Any] = {
    "HOOK_TOTAL_TIMEOUT": 20,
    "HOOK_CONNECT_TIMEOUT": 20,
    "HOOK_LEASE": 40,
    "HOOK_QUEUE_LEASE": 10,
}


@dataclass(frozen=True)
class Place:
    """A host: its address, and the command that runs another one there."""

    address: str = "127.0.0.1"
    prefix: Prefix = field(default_factory=list)


@dataclass(frozen=True)
class Places:
    """Where the servers of a row are; all on loopback unless a row says otherwise."""

    database: Place = field(default_factory=Place)
    broker: Place = field(default_factory=Place)
    receiver: Place = field(default_factory=Place)


@dataclass
class Stage:
    """The servers of one row, running, and the row's own folder and seed."""

    folder: Path
    seed: int
    broker_name: str
    places: Places
    postgres: Postgres
    valkey: Valkey
    rabbit: Rabbit | None
    #: Called when the stage is left.
    closing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def broker(self) -> Valkey | Rabbit:
        """What carries the messages."""
        return self.rabbit or self.valkey

    def environment(self, **settings: Any) -> dict[str, str]:
        """Variables that bring a process to this stage."""
        return os.environ | {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "CELERY_BROKER_URL": self.broker.url,
            "CELERY_RESULT_BACKEND": self.valkey.url,
            "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
            "DOH_TEST_DATABASE": "postgres",
            "DOH_TEST_SETTINGS": json.dumps(SETTINGS | settings),
            FOLDER: str(self.folder),
            SEED: str(self.seed),
        }


@contextmanager
def stage(
    folder: Path,
    seed: int,
    broker: str,
    places: Places | None = None,
    **postgres: Any,
) -> Iterator[Stage]:
    """Start the servers, and point this process at them; all are gone afterwards."""
    where = places or Places()
    at_broker = (where.broker.address, where.broker.prefix)
    database = Postgres(
        folder / "postgresql", where.database.address, where.database.prefix, **postgres
    )
    made = Stage(
        folder=folder,
        seed=seed,
        broker_name=broker,
        places=where,
        postgres=database,
        valkey=Valkey(folder / "valkey", *at_broker),
        rabbit=Rabbit(folder / "rabbitmq", *at_broker) if broker == RABBITMQ else None,
    )
    servers = [one for one in (made.postgres, made.valkey, made.rabbit) if one is not None]
    try:
        for server in servers:
            server.start()
        os.environ.update(made.environment())
        yield made
    finally:
        for close in reversed(made.closing):
            close()
        for server in servers:
            server.kill()
