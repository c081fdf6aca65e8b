"""Pruning: settled events after their time, and the hooks of objects that are gone."""

from datetime import datetime

from django.apps import apps
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from doh.journal.again import again
from doh.journal.ledger import Ledger
from doh.models import DELETED, Attempt, Delivery, Event, Hook
from doh.querysets import DeliveryQuerySet


class PruneLedger(Ledger):
    """The part of the journal that forgets."""

    @again
    def prune(self, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` events that were finished before a moment; returns how many.

        Their deliveries and attempts go with them. An event stays while one of its deliveries
        waits for another attempt.
        """
        with transaction.atomic(using=self.alias):
            rows = self._events().filter(~Exists(_waiting(OuterRef("pk"))), finished_at__lt=before)
            ids = list(
                self._lock(rows.order_by("pk"), skip=True).values_list("pk", flat=True)[:limit]
            )
            deliveries = self._deliveries().filter(event_id__in=ids)
            Attempt.objects.using(self.alias).filter(delivery__in=deliveries.values("pk")).delete()
            deliveries.delete()
            self._events().filter(pk__in=ids).delete()
        return len(ids)

    @again
    def prune_orphans(self, limit: int) -> int:
        """Delete the hooks of up to ``limit`` deleted objects; returns how many hooks.

        An object counts as deleted when its ``deleted`` event is settled and it does not exist
        again; its hooks stay while anything is still owed for it.
        """
        own = Hook.objects.using(self.alias).filter(
            content_type_id=OuterRef("content_type_id"), object_id=OuterRef("object_id")
        )
        open_event = Event.objects.filter(
            content_type_id=OuterRef("content_type_id"),
            object_id=OuterRef("object_id"),
        ).filter(Q(finished_at=None) | Exists(_waiting(OuterRef("pk"))))
        settled = self._events().filter(
            Exists(own), ~Exists(open_event), action=DELETED, finished_at__isnull=False
        )
        number = 0
        for event in settled.order_by("pk")[:limit]:
            if not _exists(event):
                orphans = Hook.objects.using(self.alias).filter(
                    content_type_id=event.content_type_id, object_id=event.object_id
                )
                number += orphans.delete()[0]
        return number


def _waiting(event_id: OuterRef) -> DeliveryQuerySet:
    return Delivery.objects.waiting().filter(event_id=event_id)


def _exists(event: Event) -> bool:
    """Whether the object lives (again); what can't be asked counts as living."""
    try:
        model = apps.get_model(event.label)
        return bool(model._base_manager.using(event.using).filter(pk=event.object_id).exists())
    except (LookupError, ValueError):
        return True
