"""The questions the package asks of its tables, by name."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, transaction
from django.db.models import Q

from doh.again import insist
from doh.clock import DatabaseNow
from doh.types import HOOK_DISABLED

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
    "blocked": False,
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

    def enable(self, *, redrive: bool = False) -> int:
        """Enable again; returns how many. ``redrive``: what they missed is owed again, too.

        What they failed at before does not count any more.
        """
        if redrive:
            hooks = self.defer(*self.model.ENCRYPTED).iterator(chunk_size=500)
            return len([hook.enable(redrive=True) for hook in hooks])
        fresh: dict[str, Any] = {
            "disabled_at": None,
            "disabled_reason": "",
            "failing_since": None,
            "warned_at": None,
            "excused_until": DatabaseNow(),
        }
        return insist(self.db, lambda: self.update(**fresh))


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries, found by where they stand."""

    def waiting(self) -> DeliveryQuerySet:
        """Deliveries that are owed another attempt."""
        return self.filter(status="waiting")

    def dead(self) -> DeliveryQuerySet:
        """Dead letters: deliveries that ran out of attempts."""
        return self.filter(status="dead")

    def missed(self, since: datetime) -> DeliveryQuerySet:
        """Dead letters since, and what was cancelled because the hook was, or got, disabled."""
        unheard = Q(detail=HOOK_DISABLED) | Q(status_code=HTTPStatus.GONE)
        owed_once = Q(status="dead") | (Q(status="cancelled") & unheard)
        return self.filter(owed_once, updated_at__gte=since)

    def owe_again(self) -> int:
        """Owe these again at once, with a whole schedule of attempts; returns how many.

        One transaction, in the lock order of a flush, in constant memory.
        """
        with transaction.atomic(using=self.db):
            rows = self.order_by("event_id", "hook_id").values_list("pk")
            if connections[self.db].features.has_select_for_update:
                for _ in rows.select_for_update().iterator():
                    pass
            return self.order_by().update(due_at=DatabaseNow(), **OWED_AGAIN)
