"""Hooks: who is told what, where."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from doh import egress
from doh.again import insist
from doh.exceptions import BadHeadersError, BadTargetError
from doh.fields import EncryptedHeadersField, ScheduleField, SecretDict
from doh.indexes import NotNullIndex
from doh.limits import RateField
from doh.querysets import HookQuerySet
from doh.signing import Signed
from doh.wire.headers import check_headers
from doh.wire.target import MAX_TARGET, parse_target

CREATED, CHANGED, DELETED = "created", "changed", "deleted"
KEY_LENGTH = 255
ACTION_LENGTH = 64


def validate_target(value: str) -> None:
    """Refuse a target that can't or may not be posted to, saying what is wrong with it."""
    try:
        egress.policy().check(parse_target(value))
    except BadTargetError as error:
        text = _("Not a usable target: %(why)s.")
        raise ValidationError(text, code="target", params={"why": error}) from error


def validate_headers(value: Any) -> None:
    """Refuse custom headers that can't be sent, saying which and why; values are not repeated."""
    try:
        check_headers(value)
    except BadHeadersError as error:
        text = _("Not usable as headers: %(why)s.")
        raise ValidationError(text, code="headers", params={"why": error}) from error


class ObjectForeignKey(GenericForeignKey):
    """A generic key to an object of any database; content types are read where the hooks are."""

    def get_content_type(
        self,
        obj: models.Model | None = None,
        id: int | None = None,  # noqa: A002 - Django's name
        using: str | None = None,
        model: type[models.Model] | None = None,
    ) -> ContentType:
        """The content type of an object; a proxy's is its concrete model's."""
        if obj is not None:
            return content_type_of(type(obj))
        return super().get_content_type(id=id, using=using, model=model)

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        """The object, read where its model lives; None if there is none."""
        if instance is None or self.is_cached(instance):
            return super().__get__(instance, cls)
        model, key = instance.model, instance.object_id
        found = None if model is None or key is None else model._base_manager.filter(pk=key).first()
        self.set_cached_value(instance, found)
        return found


class Hook(Signed):
    """A subscription: tell this URL whenever that happens to this object.

    ``object_id`` is text, so integer, UUID and string keys all fit; null means every object of
    the model (``Hook.objects.create(model=Vehicle, …)``). The action ``*`` means all of them.
    ``scheme="v1a"`` signs with ed25519.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="object_hooks"
    )
    #: Without an index of its own: the one that finds listeners begins with it.
    content_type = models.ForeignKey(
        ContentType, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    object_id = models.CharField(  # noqa: DJ001 - null: every object of the model
        _("object key"),
        max_length=KEY_LENGTH,
        null=True,
        blank=True,
        help_text=_("Empty: every object of the model."),
    )
    content_object = ObjectForeignKey("content_type", "object_id")
    action = models.CharField(
        max_length=ACTION_LENGTH,
        default=CHANGED,
        help_text=_("created, changed, deleted, one of your own, or * for all."),
    )
    target = models.CharField(max_length=MAX_TARGET, validators=[validate_target])
    headers = EncryptedHeadersField(
        default=SecretDict, null=True, blank=True, editable=False, validators=[validate_headers]
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("Empty: never."))
    rate_limit = RateField(
        blank=True, default="", db_default="", help_text=_("Such as 10/s, 600/m or 1000/h.")
    )
    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=200, blank=True, editable=False)
    retry_schedule = ScheduleField(
        null=True,
        blank=True,
        help_text=_("Seconds before each attempt, such as [0, 60, 3600]. Empty: the settings'."),
    )
    #: The first failure since it last succeeded; null while it works, as far as is known.
    failing_since = models.DateTimeField(null=True, editable=False)
    warned_at = models.DateTimeField(null=True, editable=False)
    #: Failures until then don't count: it was enabled again, or our own network was down.
    excused_until = models.DateTimeField(null=True, editable=False)

    objects = HookQuerySet.as_manager()
    # The same manager under the name that existing code uses.
    object = HookQuerySet.as_manager()

    class Meta:
        indexes = [
            # The action stands before the key: a hundred thousand hooks on one action must not slow
            # the events of another down.
            models.Index(
                fields=["content_type", "object_id", "action", "id"], name="doh_hook_listening"
            ),
            NotNullIndex(fields=["failing_since"], name="doh_hook_failing"),
            NotNullIndex(fields=["disabled_at"], name="doh_hook_disabled"),
        ]

    def __str__(self) -> str:
        what = self.object_id if self.object_id is not None else "*"
        return f"hook {self.pk}: {self.action} of {self.content_type.model} {what}"

    #: The columns that only whoever sends needs to read.
    ENCRYPTED = (*Signed.ENCRYPTED, "headers")
    _CHECKED_AT_SAVE = frozenset({"action", "target", "headers", "secret"})

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a bad action, target, header or secret is refused with `full_clean`'s error."""
        names = {field.name for field in self._meta.concrete_fields}
        saved = names if kwargs.get("update_fields") is None else set(kwargs["update_fields"])
        checked = self._CHECKED_AT_SAVE & saved - self.get_deferred_fields()
        self.clean_fields(exclude=names - checked)
        super().save(*args, **kwargs)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Validate, and write the target in its canonical spelling."""
        super().clean_fields(exclude)
        if "target" not in (exclude or ()):
            self.target = parse_target(self.target).url
        if "headers" not in (exclude or ()):
            self.headers = SecretDict(self.headers or {})

    @property
    def model(self) -> type[models.Model] | None:
        """The model whose objects the hook listens to."""
        return self.content_type.model_class()

    @model.setter
    def model(self, value: type[models.Model]) -> None:
        self.content_type = ContentType.objects.get_for_model(value)

    @property
    def is_enabled(self) -> bool:
        """Whether events are sent to it now."""
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.disabled_at is None and not expired

    def enable(self, *, redrive: bool = False) -> int:
        """Send to it again, from the next event on; one transaction.

        ``redrive`` owes it again what it missed since it began to fail, or was disabled: its dead
        letters, and what was cancelled because it was disabled. Returns how many those are.
        """
        row = Hook.objects.using(self._state.db).filter(pk=self.pk)
        missed = insist(row.db, lambda: self._enable(row, redrive=redrive))
        self.refresh_from_db(fields=["disabled_at", "disabled_reason", "failing_since"])
        return missed

    def _enable(self, row: HookQuerySet, *, redrive: bool) -> int:
        with transaction.atomic(using=row.db):
            missed = self._owe_missed(row) if redrive else 0
            row.enable()
        return missed

    def _owe_missed(self, row: HookQuerySet) -> int:
        since = row.values_list(Coalesce("failing_since", "disabled_at"), flat=True).first()
        if since is None:
            return 0
        return self.delivery_set.using(row.db).missed(since).owe_again()


def content_type_of(model: type[models.Model], using: str | None = None) -> ContentType:
    """The content type of a model in the ledger's database; a proxy's is its concrete model's."""
    manager: Any = ContentType.objects if using is None else ContentType.objects.db_manager(using)
    found: ContentType = manager.get_for_model(model)
    return found
