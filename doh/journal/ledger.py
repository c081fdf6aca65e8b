"""What every part of the journal stands on: one database, its clock, its locks."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, TypeVar

from django.db import connections, transaction
from django.db.models import Model, QuerySet

from doh.clock import database_now
from doh.journal.packing import dump_pairs, pack
from doh.journal.records import Ring
from doh.models import Batch, Delivery, Event, Hook
from doh.signals import hook_disabled
from doh.types import Pair

M = TypeVar("M", bound=Model)
#: Deliveries by the keys of their events and hooks: plain tuples, which are made in no time.
Ids = dict[tuple[int, int], int]

#: Claims without an outcome after which a row is suspected of killing its claimants, and from
#: then on claimed alone; claims after which it is given up.
SUSPECT_AFTER: Final = 5
GIVE_UP_AFTER: Final = 20
#: Seconds that a suspect waits at most between two claims.
_LONGEST_PAUSE = 3600.0

#: Pairs that one query may look for beyond those that it was asked for.
_SPARE = 1_000


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

    def _tell_disabled(self, hook_ids: Sequence[int]) -> None:
        """Send `hook_disabled` for hooks, once the running transaction has committed."""

        def tell() -> None:
            for hook in (
                Hook.objects.using(self.alias).filter(pk__in=hook_ids).defer(*Hook.ENCRYPTED)
            ):
                hook_disabled.send_robust(sender=Hook, hook=hook, reason=hook.disabled_reason)

        transaction.on_commit(tell, using=self.alias, robust=True)

    def _events(self) -> QuerySet[Event]:
        return Event.objects.using(self.alias)

    def _batches(self) -> QuerySet[Batch]:
        return Batch.objects.using(self.alias)

    def _deliveries(self) -> QuerySet[Delivery]:
        return Delivery.objects.using(self.alias)

    def _batch(self, ring: Ring) -> QuerySet[Batch]:
        return self._batches().filter(pk=ring.batch_id, epoch=ring.epoch)

    def _delivery_ids(self, pairs: Iterable[Pair]) -> Ids:
        """The keys of the deliveries that exist for exactly these pairs."""
        wanted = set(pairs)
        found: Ids = {}
        for events, hooks in _blocks(wanted):
            rows = self._deliveries().filter(event_id__in=events, hook_id__in=hooks)
            for event_id, hook_id, pk in rows.values_list("event_id", "hook_id", "pk"):
                found[event_id, hook_id] = pk
        return {keys: pk for keys, pk in found.items() if keys in wanted}

    def _write_batches(self, pairs: Sequence[Pair], size: int, due: datetime) -> list[Ring]:
        batches = [Batch(pairs=dump_pairs(part), due_at=due) for part in pack(pairs, size)]
        if connections[self.alias].features.can_return_rows_from_bulk_insert:
            self._batches().bulk_create(batches)
        else:
            for batch in batches:
                batch.save(using=self.alias, force_insert=True)
        return [Ring(batch.pk, batch.epoch) for batch in batches]


def seconds_of_claim(number: int, lease: float) -> float:
    """Seconds that claim number so-and-so in vain lasts: ever more for a suspect, up to an hour.

    If it is a broken release that kills the claimants, there is time to mend it.
    """
    doubled = lease * 2.0 ** max(0, number - SUSPECT_AFTER)
    return min(doubled, max(lease, _LONGEST_PAUSE))


def _blocks(pairs: Iterable[Pair]) -> Iterator[tuple[list[int], set[int]]]:
    """Events and hooks whose every combination takes in the pairs, and not many others."""
    events: list[int] = []
    hooks: set[int] = set()
    asked = 0
    for event_id, group in groupby(sorted(pairs), key=lambda pair: pair.event_id):
        own = {pair.hook_id for pair in group}
        if events and (len(events) + 1) * len(hooks | own) > asked + len(own) + _SPARE:
            yield events, hooks
            events, hooks, asked = [], set(), 0
        events.append(event_id)
        hooks |= own
        asked += len(own)
    if events:
        yield events, hooks
