"""What the limits are doing now, to be shown."""

from collections.abc import Iterator
from typing import Any, Final

import redis

from doh.journal import Journal
from doh.models import Delivery
from doh.status.circuits import LISTED, Circuit, brought
from doh_tasks.limits.store import BARRED, MICROSECONDS, host_key, store

_COUNTED: Final = 10_000


def circuits(limit: int = LISTED) -> list[Circuit] | None:
    """The hosts that are not sent to as usual; None if Redis can't be asked."""

    def read(client: redis.Redis) -> list[Circuit]:
        seconds, micros = client.time()
        now = seconds + micros / MICROSECONDS
        hosts: Any = client.zrange(BARRED, 0, limit - 1)
        return list(_circuits(client, [host.decode() for host in hosts], now))

    found: list[Circuit] | None = store.read(read)
    return found


def deferred(journal: Journal) -> int:
    """How many deliveries wait without an attempt, up to 10,000."""
    waiting = Delivery.objects.using(journal.alias).waiting()
    return waiting.filter(deferred_at__isnull=False).values("pk")[:_COUNTED].count()


def _circuits(client: redis.Redis, hosts: list[str], now: float) -> Iterator[Circuit]:
    pipeline = client.pipeline(transaction=False)
    for host in hosts:
        pipeline.hmget(host_key(host), "pause", "until", "quiet", "opened")
    for host, row in zip(hosts, pipeline.execute(), strict=True):
        pause, until, quiet, opened = (float(value or 0) / MICROSECONDS for value in row)
        # Workers of an older release note no `opened`.
        ago = now - (opened or until - pause)
        left = until - now if pause else 0.0
        yield Circuit(host, max(0.0, left), max(0.0, quiet - now), ago if pause else None)


brought.append(circuits)
