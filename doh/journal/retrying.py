"""Retries: pass what is due again to new batches, fair to every host."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.db import transaction

from doh.again import again
from doh.journal.among import among
from doh.journal.ledger import Ledger
from doh.journal.records import Lanes, Ring
from doh.types import Pair

#: Due deliveries that are looked at for each one taken: a host with a long backlog takes no more
#: than its turn while others are due among them.
WINDOW: Final = 4


class Due(NamedTuple):
    """A delivery whose next attempt is due."""

    event_id: int
    hook_id: int
    pk: int
    host: str
    attempts: int


class RetryLedger(Ledger):
    """The part of the journal that takes deliveries up again."""

    def gather_retries(self, limit: int, batch_size: int, queue_lease: float) -> list[Ring]:
        """Pass the due deliveries to new batches; returns the doorbells to ring."""
        lanes = self.gather_lanes(limit, batch_size, queue_lease)
        return [*lanes.first, *lanes.slow]

    @again
    def gather_lanes(
        self,
        limit: int,
        batch_size: int,
        queue_lease: float,
        slow_hosts: Collection[str] = frozenset(),
    ) -> Lanes:
        """The same by lanes: deferred first attempts, unless their host is slow, and the rest.

        The hosts take turns, each with what is due longest.
        """
        with transaction.atomic(using=self.alias):
            now = self.now()
            due = self._due_in_turns(limit, now)
            slow = {one for one in due if one.attempts or one.host in slow_hosts}
            until = now + timedelta(seconds=queue_lease)
            return Lanes(
                first=self._own_retries([one for one in due if one not in slow], batch_size, until),
                slow=self._own_retries(slow, batch_size, until),
            )

    def _due_in_turns(self, limit: int, now: datetime) -> list[Due]:
        """The longest due deliveries, locked, the hosts taking turns."""
        due = self._deliveries().filter(due_at__lte=now).order_by("due_at")
        columns = ("event_id", "hook_id", "pk", "host", "attempts")
        rows = self._lock(due, skip=True).values_list(*columns)[: limit * WINDOW]
        return in_turns([Due(*row) for row in rows])[:limit]

    def _own_retries(self, due: Collection[Due], batch_size: int, until: datetime) -> list[Ring]:
        rows = sorted(due)
        return [
            self._own(rows[start : start + batch_size], until)
            for start in range(0, len(rows), batch_size)
        ]

    def _own(self, rows: Sequence[Due], until: datetime) -> Ring:
        pairs = [Pair(one.event_id, one.hook_id) for one in rows]
        (ring,) = self._write_batches(pairs, len(pairs), until)
        owned = self._deliveries().filter(among(one.pk for one in rows))
        owned.update(batch_id=ring.batch_id, due_at=None)
        return ring


def in_turns(rows: Sequence[Due]) -> list[Due]:
    """Rows in the order in which hosts take turns, each keeping its own order."""
    turns: Counter[str] = Counter()
    placed = []
    for row in rows:
        turns[row.host] += 1
        placed.append((turns[row.host], row))
    return [row for _, row in sorted(placed, key=lambda one: one[0])]
