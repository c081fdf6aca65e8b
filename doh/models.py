"""The tables: hooks (from `doh.hooks`), and the ledger of what is owed to them."""

from __future__ import annotations

from secrets import token_hex
from time import time_ns

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from doh.hooks import (
    ACTION_LENGTH,
    CHANGED,
    CREATED,
    DELETED,
    KEY_LENGTH,
    Hook,
    content_type_of,
    validate_headers,
    validate_target,
)
from doh.indexes import NotNullIndex, ValueIndex
from doh.querysets import DeliveryQuerySet

__all__ = [
    "ACTION_LENGTH",
    "CHANGED",
    "CREATED",
    "DELETED",
    "DETAIL_LENGTH",
    "KEY_LENGTH",
    "Attempt",
    "Batch",
    "Delivery",
    "Event",
    "Heartbeat",
    "Hook",
    "content_type_of",
    "new_uid",
    "validate_headers",
    "validate_target",
]

DETAIL_LENGTH = 500


def new_uid() -> str:
    """A public event id, sent as ``webhook-id``: milliseconds since the epoch, then chance.

    In the order of time, so that its index grows at its end only: anywhere else, and a save would
    touch a page of its own in it, and PostgreSQL log that page as a whole.
    """
    return f"evt_{time_ns() // 1_000_000:012x}{token_hex(10)}"


class Event(models.Model):
    """Something happened to an object; it owes itself to every hook until it is fanned out.

    ``due_at`` is when something must be done for it next: until ``fanned_at`` is set, its
    fan-out; after that, its result hook. Null means nothing now.
    """

    id = models.BigAutoField(primary_key=True)
    #: Unique by a constraint: by the field, Django would keep a second index, for LIKE.
    uid = models.CharField(max_length=40, default=new_uid, editable=False)
    content_type = models.ForeignKey(
        ContentType, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    label = models.CharField(max_length=200)
    object_id = models.CharField(max_length=KEY_LENGTH)
    action = models.CharField(max_length=ACTION_LENGTH)
    using = models.CharField(max_length=100)
    deliverer = models.CharField(max_length=255)
    result_hook = models.BooleanField(default=False)
    payload = models.TextField(null=True)  # noqa: DJ001 - null: rendered from the snapshot
    snapshot = models.TextField(null=True)  # noqa: DJ001 - null: no snapshot was needed
    error = models.CharField(max_length=DETAIL_LENGTH, blank=True)
    #: W3C trace context of the request that caused it; null if there was none.
    traceparent = models.CharField(max_length=55, null=True)  # noqa: DJ001
    #: What its tracing systems say besides, as long as the standard wants it passed on.
    tracestate = models.CharField(max_length=512, null=True)  # noqa: DJ001
    occurred_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True)
    epoch = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)
    #: The newest hook there was: one that came later is not told of the past.
    hooks_until = models.BigIntegerField(default=0)
    fanned_to = models.BigIntegerField(default=0)
    fanned_at = models.DateTimeField(null=True)
    pending = models.BigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid"], name="doh_event_uid")]
        # None over what an event's end changes: where a page has room PostgreSQL then writes
        # that beside the row, and enters it nowhere (HOT). The migrations leave such room.
        indexes = [
            NotNullIndex(fields=["due_at"], name="doh_event_due"),
            # Of all events, but PostgreSQL takes it only where the label is asked for: to find some
            # by their keys, it would skip through it from object to object.
            NotNullIndex(fields=["label", "object_id", "id"], name="doh_event_object"),
            ValueIndex(fields=["action", "id"], value=DELETED, name="doh_event_deleted"),
        ]

    def __str__(self) -> str:
        return f"event {self.pk}: {self.label} {self.object_id} {self.action}"

    @property
    def name(self) -> str:
        """``app.model.action``, as sent in the ``Doh-Event`` header."""
        return f"{self.label}.{self.action}"


class Batch(models.Model):
    """Up to a few hundred pairs that are sent together, and that it owns until they are settled.

    ``pairs`` is a list of ``[event id, [hook id, …]]`` and never changes; ``bodies`` holds the
    rendered dynamic payloads as ``{"event:hook": body}``, stored before the first byte is sent.
    ``tries`` counts the claims since an outcome was last written; an odd ``epoch`` is that of a
    claim, at an even one the batch waits to be claimed.
    """

    id = models.BigAutoField(primary_key=True)
    pairs = models.JSONField()
    bodies = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    epoch = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="doh_batch_due")]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return f"batch {self.pk} at epoch {self.epoch}"


class Delivery(models.Model):
    """The ledger row of one pair; it appears with the pair's first outcome.

    Hook and event are named without a database constraint: a hook deleted in mid-batch must not
    abort the flush of its neighbours.
    """

    class Status(models.TextChoices):
        """Where a delivery stands; only a waiting one is still owed."""

        SUCCEEDED = "succeeded", _("succeeded")
        WAITING = "waiting", _("waiting for the next attempt")
        DEAD = "dead", _("dead letter")
        CANCELLED = "cancelled", _("cancelled")

    id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(
        Event, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    hook = models.ForeignKey(Hook, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    status = models.CharField(max_length=10, choices=Status.choices)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    batch_id = models.BigIntegerField(null=True)
    body = models.TextField(null=True)  # noqa: DJ001 - null: the event's payload
    status_code = models.PositiveSmallIntegerField(null=True)
    detail = models.CharField(max_length=DETAIL_LENGTH, blank=True)
    host = models.CharField(max_length=255, blank=True)
    blocked = models.BooleanField(default=False, db_default=False)
    updated_at = models.DateTimeField()
    #: It was only deferred so far: the event's own ``pending`` still counts it.
    pending = models.BooleanField(default=False, db_default=False, editable=False)
    #: The first of its deferrals since the last outcome, and the slot that it was given.
    deferred_at = models.DateTimeField(null=True, editable=False)
    slot_at = models.DateTimeField(null=True, editable=False)
    granted = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["event", "hook"], name="doh_delivery_pair"),
        ]
        indexes = [
            NotNullIndex(fields=["due_at"], name="doh_delivery_due"),
            NotNullIndex(fields=["batch_id"], name="doh_delivery_batch"),
            ValueIndex(fields=["status", "event"], value="waiting", name="doh_delivery_waiting"),
            ValueIndex(fields=["status", "id"], value="dead", name="doh_delivery_dead"),
            models.Index(fields=["hook", "id"], name="doh_delivery_hook"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}: {self.status}"


class Attempt(models.Model):
    """One POST that was not accepted."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, related_name="tries", db_constraint=False
    )
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    status_code = models.PositiveSmallIntegerField(null=True)
    detail = models.CharField(max_length=DETAIL_LENGTH, blank=True)
    elapsed = models.FloatField(_("seconds"), default=0.0)

    class Meta:
        ordering = ["number"]
        indexes = [models.Index(fields=["at"], name="doh_attempt_at")]

    def __str__(self) -> str:
        return f"attempt {self.number} of delivery {self.delivery_id}"


class Heartbeat(models.Model):
    """When a chore was last begun: whoever was to send, carry and do it was alive then."""

    name = models.CharField(primary_key=True, max_length=40)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"
