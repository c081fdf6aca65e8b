"""Listen to the models that the settings allow, and to ``hook_event``."""

from collections.abc import Iterator
from functools import wraps
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.db import models, router, transaction
from django.db.models.signals import post_delete, post_save

from doh import conf
from doh.deliverers import resolve
from doh.events import send_event
from doh.models import CHANGED, CREATED, DELETED
from doh.signals import hook_event

_UID = "doh.receivers"
_listening: set[type[models.Model]] = set()


def connect() -> None:
    """Listen to the allowed models, and follow the settings when a test overrides them."""
    resolve.follow_settings()
    hook_event.connect(on_hook_event, dispatch_uid=_UID)
    setting_changed.connect(_on_setting_changed, dispatch_uid=_UID)
    listen()


def listen() -> None:
    """Listen to exactly the models that ``HOOK_ALLOWED_MODELS`` names now, and their proxies.

    Labels of unknown models are left to the system check.
    """
    wanted = set(allowed_models())
    for model in _listening - wanted:
        post_save.disconnect(on_save, sender=model, dispatch_uid=_UID)
        post_delete.disconnect(on_delete, sender=model, dispatch_uid=_UID)
        _restore_save(model)
    for model in wanted - _listening:
        post_save.connect(on_save, sender=model, dispatch_uid=_UID)
        post_delete.connect(on_delete, sender=model, dispatch_uid=_UID)
        _make_save_atomic(model)
    _listening.clear()
    _listening.update(wanted)


def allowed_models() -> Iterator[type[models.Model]]:
    """The models that the setting names, each with every proxy of it."""
    concrete = set()
    for label in conf.allowed_models():
        try:
            concrete.add(apps.get_model(label)._meta.concrete_model)
        except (LookupError, ValueError):
            continue
    for model in apps.get_models():
        if model._meta.concrete_model in concrete:
            yield model


def on_save(
    sender: type[models.Model],  # noqa: ARG001 - Django's signature
    instance: models.Model,
    created: bool,
    raw: bool,
    using: str,
    **_: Any,
) -> None:
    """A save is an event, unless a fixture is being loaded."""
    if not raw:
        send_event(instance, CREATED if created else CHANGED, using=using)


def on_delete(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:  # noqa: ARG001
    """A deletion is an event; the instance still has its key and its fields."""
    send_event(instance, DELETED, using=using)


def on_hook_event(
    sender: Any,  # noqa: ARG001 - Django's signature
    instance: models.Model,
    action: str,
    payload: Any = None,
    **_: Any,
) -> None:
    """An event of the project's own, on any model."""
    send_event(instance, action, payload)


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "HOOK_ALLOWED_MODELS":
        listen()


def _make_save_atomic(model: type[models.Model]) -> None:
    """Let a save and its event commit together.

    Django sends ``post_save`` after the save's own transaction: in autocommit a process could
    die between the two commits, and the event with it.
    """
    plain = model.save_base
    own = "save_base" in model.__dict__

    @wraps(plain)
    def save_base(self: models.Model, *args: Any, **kwargs: Any) -> None:
        if not conf.atomic_saves():
            return plain(self, *args, **kwargs)
        named = kwargs.get("using") or (args[3] if len(args) > 3 else None)
        using = named or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using, savepoint=False):
            return plain(self, *args, **kwargs)

    save_base.doh_replaced = plain if own else None  # type: ignore[attr-defined]
    setattr(model, "save_base", save_base)  # noqa: B010 - mypy knows it as a method


def _restore_save(model: type[models.Model]) -> None:
    """Undo `_make_save_atomic`."""
    replaced = model.__dict__["save_base"].doh_replaced
    if replaced is None:
        delattr(model, "save_base")
    else:
        setattr(model, "save_base", replaced)  # noqa: B010
