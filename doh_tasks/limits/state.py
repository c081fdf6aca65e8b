"""What the limits are doing now, to be shown."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import redis

from doh.journal import Journal
from doh.models import Delivery
from doh_tasks.limits.store import BARRED, MICROSECONDS, host_key, store

_LISTED: Final = 1_000
_COUNTED: Final = 10_000


class Circuit(NamedTuple):
    """A host that is not sent to: its circuit is open for so many more seconds, or it asked.

    Both are zero for a circuit that is half open: one probe tells.
    """

    host: str
    open_for: float
    paused_for: float


def circuits(limit: int = _LISTED) -> list[Circuit] | None:
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
        pipeline.hmget(host_key(host), "pause", "until", "quiet")
    for host, (pause, until, quiet) in zip(hosts, pipeline.execute(), strict=True):
        left = float(until or 0) / MICROSECONDS - now if float(pause or 0) else 0.0
        asked = float(quiet or 0) / MICROSECONDS - now
        yield Circuit(host, max(0.0, left), max(0.0, asked))
