"""Pruning: settled events after their time, and the hooks of objects that are gone."""

from bisect import bisect_left
from collections.abc import Collection, Iterator
from datetime import datetime

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, Q
from django.utils.connection import ConnectionDoesNotExist

from doh.again import again
from doh.journal.among import among
from doh.journal.ledger import Ledger
from doh.models import DELETED, Attempt, Delivery, Event, Hook
from doh.querysets import DeliveryQuerySet


class PruneLedger(Ledger):
    """The part of the journal that forgets."""

    @again
    def prune(self, before: datetime, limit: int) -> int:
        """Delete events that were finished before a moment, with their deliveries and attempts.

        One call deletes up to ``limit`` deliveries, and events that have none left; returns how
        many rows those were, zero when there are no more. An event stays as it is while it is
        owed to somebody.
        """
        end = self._first_since(before)
        with transaction.atomic(using=self.alias):
            rows = self._events().filter(
                ~Exists(self._waiting(event_id=OuterRef("pk"))),
                pk__lt=end,
                finished_at__lt=before,
                pending=0,
            )
            found = self._lock(rows.order_by("pk"), skip=True)
            ids = list(found.values_list("pk", flat=True)[:limit])
            number = self._prune_deliveries(ids, limit)
            kept = self._deliveries().filter(event_id=OuterRef("pk"))
            return number + self._events().filter(~Exists(kept), among(ids)).delete()[0]

    @again
    def prune_orphans(self, limit: int) -> int:
        """Delete up to ``limit`` hooks of deleted objects; returns how many.

        An object counts as deleted when its ``deleted`` event is settled and it does not exist
        again; its hooks stay while anything is still owed for it.
        """
        ids: set[int] = set()
        for event in self._deletions():
            if not _exists(event):
                ids.update(self._own_hooks(event, limit - len(ids)))
            if len(ids) >= limit:
                break
        Hook.objects.using(self.alias).filter(pk__in=ids).delete()
        return len(ids)

    def _first_since(self, moment: datetime) -> int:
        """The id of the first event since a moment, or one past all of them.

        Events get their ids as they occur, or nearly so; a search among ids needs no index that
        every event would have to be entered in as it ends.
        """
        rows = self._events().order_by("pk").values_list("occurred_at", flat=True)
        ends = self._events().aggregate(first=Min("pk"), last=Max("pk"))
        if ends["last"] is None:
            return 0
        ids = range(ends["first"], ends["last"] + 1)
        # None is left where somebody prunes the last of them meanwhile.
        since = bisect_left(ids, moment, key=lambda pk: rows.filter(pk__gte=pk).first() or moment)
        return ids.start + since

    def _prune_deliveries(self, event_ids: Collection[int], limit: int) -> int:
        rows = self._deliveries().filter(event_id__in=event_ids).order_by("event_id", "hook_id")
        found = list(self._lock(rows).values_list("pk", "event_id", "status")[:limit])
        # A dead letter may have been redriven since: its event is owed again, and stays as it is.
        owed = {event_id for _, event_id, status in found if status == "waiting"}
        ids = [pk for pk, event_id, _ in found if event_id not in owed]
        Attempt.objects.using(self.alias).filter(delivery_id__in=ids).delete()
        self._deliveries().filter(among(ids)).delete()
        return len(ids)

    def _deletions(self) -> Iterator[Event]:
        """The settled deletions of objects that have hooks left, and of which nothing is owed."""
        same = {
            "content_type_id": OuterRef("content_type_id"),
            "object_id": OuterRef("object_id"),
        }
        hooks = Hook.objects.using(self.alias).filter(**same)
        owed = self._events().filter(**same).filter(Q(finished_at=None) | Q(pending__gt=0))
        waiting = self._waiting(
            hook__content_type_id=OuterRef("content_type_id"),
            hook__object_id=OuterRef("object_id"),
        )
        deletions = self._events().filter(action=DELETED, finished_at__isnull=False, pending=0)
        found = deletions.filter(Exists(hooks), ~Exists(owed), ~Exists(waiting))
        columns = ("content_type_id", "object_id", "label", "using")
        return found.only(*columns).order_by("pk").iterator(chunk_size=100)

    def _own_hooks(self, event: Event, limit: int) -> list[int]:
        own = Hook.objects.using(self.alias).filter(
            content_type_id=event.content_type_id, object_id=event.object_id
        )
        rows = own.order_by("pk").values_list("pk", "object_id")[:limit]
        # Most collations of MySQL and MariaDB take "a" for "A".
        return [pk for pk, key in rows if key == event.object_id]

    def _waiting(self, **of: object) -> DeliveryQuerySet:
        return Delivery.objects.using(self.alias).waiting().filter(**of)


def _exists(event: Event) -> bool:
    """Whether the object lives (again); what can't be asked counts as living."""
    try:
        model = apps.get_model(event.label)
        return bool(model._base_manager.using(event.using).filter(pk=event.object_id).exists())
    except (LookupError, ValueError, ValidationError, ConnectionDoesNotExist):
        return True
