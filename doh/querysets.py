"""The questions the package asks of its tables, by name."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from doh.models import Delivery, Hook  # noqa: F401 - named in the bases below

ANY_ACTION = "*"

#: A delivery that is owed as if it had never been tried; beside it, when it is due.
OWED_AGAIN: Final[dict[str, Any]] = {
    "status": "waiting",
    "attempts": 0,
    "batch_id": None,
    "deferred_at": None,
    "slot_at": None,
    "granted": 0,
}


class HookQuerySet(models.QuerySet["Hook"]):
    """Hooks, found by what they listen to."""

    def enabled(self, now: datetime) -> HookQuerySet:
        """Hooks that are neither disabled nor expired."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), disabled_at=None)

    def listening(self, content_type_id: int, object_id: str, action: str) -> HookQuerySet:
        """Hooks on an object, or on every object of its model, for an action."""
        return self.filter(
            Q(object_id=object_id) | Q(object_id__isnull=True),
            content_type_id=content_type_id,
            action__in=(action, ANY_ACTION),
        )

    def for_object(self, instance: models.Model) -> HookQuerySet:
        """Hooks registered on this very object."""
        return self.for_model(type(instance)).filter(object_id=str(instance.pk))

    def for_model(self, model: type[models.Model]) -> HookQuerySet:
        """Hooks on a model and on its objects; a proxy counts as its concrete model."""
        kind = ContentType.objects.db_manager(self.db).get_for_model(model)
        return self.filter(content_type=kind)

    def disable(self, reason: str, now: datetime) -> int:
        """Disable those still enabled; returns how many."""
        return self.filter(disabled_at=None).update(disabled_at=now, disabled_reason=reason[:200])

    def enable(self) -> int:
        """Enable again; returns how many."""
        return self.update(disabled_at=None, disabled_reason="")


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries, found by where they stand."""

    def waiting(self) -> DeliveryQuerySet:
        """Deliveries that are owed another attempt."""
        return self.filter(status="waiting")

    def dead(self) -> DeliveryQuerySet:
        """Dead letters: deliveries that ran out of attempts."""
        return self.filter(status="dead")
