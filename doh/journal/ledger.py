"""What every part of the journal stands on: one database, its clock, its locks."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from operator import or_
from typing import Final, TypeVar

from django.db import connections
from django.db.models import Model, Q, QuerySet

from doh.journal.clock import database_now
from doh.journal.packing import dump_pairs, pack
from doh.journal.records import Ring
from doh.models import Batch, Delivery, Event
from doh.types import Pair

M = TypeVar("M", bound=Model)

#: Claims without an outcome after which a row is suspected of killing its claimants, and from
#: then on claimed alone; claims after which it is given up.
SUSPECT_AFTER: Final = 5
GIVE_UP_AFTER: Final = 20

#: Conditions that one query holds at most: databases limit the depth of an expression.
_CONDITIONS = 100


class Ledger:
    """The ledger's tables in the database of one alias."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def now(self) -> datetime:
        """The database's time."""
        return database_now(connections[self.alias])

    def after(self, seconds: float) -> datetime:
        """The database's time in so many seconds."""
        return self.now() + timedelta(seconds=seconds)

    def _lock(self, rows: QuerySet[M], *, skip: bool = False) -> QuerySet[M]:
        """Lock rows where the database can; skip what others hold where it can do that too.

        SQLite locks the whole file at the first write, and refuses that write if what was read
        before it has changed.
        """
        features = connections[self.alias].features
        if not features.has_select_for_update:
            return rows
        skipping = skip and features.has_select_for_update_skip_locked
        return rows.select_for_update(skip_locked=skipping)

    def _events(self) -> QuerySet[Event]:
        return Event.objects.using(self.alias)

    def _batches(self) -> QuerySet[Batch]:
        return Batch.objects.using(self.alias)

    def _deliveries(self) -> QuerySet[Delivery]:
        return Delivery.objects.using(self.alias)

    def _batch(self, ring: Ring) -> QuerySet[Batch]:
        return self._batches().filter(pk=ring.batch_id, epoch=ring.epoch)

    def _delivery_ids(self, pairs: Iterable[Pair]) -> dict[Pair, int]:
        """The keys of the deliveries that exist for exactly these pairs."""
        found: dict[Pair, int] = {}
        for condition in _conditions(pairs):
            rows = self._deliveries().filter(condition)
            for event_id, hook_id, pk in rows.values_list("event_id", "hook_id", "pk"):
                found[Pair(event_id, hook_id)] = pk
        return found

    def _write_batches(self, pairs: Sequence[Pair], size: int, due: datetime) -> list[Ring]:
        batches = [Batch(pairs=dump_pairs(part), due_at=due) for part in pack(pairs, size)]
        if connections[self.alias].features.can_return_rows_from_bulk_insert:
            self._batches().bulk_create(batches)
        else:
            for batch in batches:
                batch.save(using=self.alias, force_insert=True)
        return [Ring(batch.pk, batch.epoch) for batch in batches]


def _conditions(pairs: Iterable[Pair]) -> Iterator[Q]:
    """What finds exactly these pairs; events with the same hooks share one condition."""
    events_by_hooks: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for event_id, group in groupby(sorted(pairs), key=lambda pair: pair.event_id):
        events_by_hooks[tuple(pair.hook_id for pair in group)].append(event_id)
    conditions = [
        Q(event_id__in=events, hook_id__in=hooks) for hooks, events in events_by_hooks.items()
    ]
    for start in range(0, len(conditions), _CONDITIONS):
        yield reduce(or_, conditions[start : start + _CONDITIONS])
