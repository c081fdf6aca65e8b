"""The outbox: write an event down in the transaction of whoever caused it."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import ujson
from django.db import models
from django.utils import timezone

from doh.journal import NewEvent, get_journal, ledger_alias
from doh.models import DELETED, DETAIL_LENGTH, Hook, content_type_of, new_uid
from doh.payloads import Content
from doh.querysets import HookQuerySet
from doh.telemetry import telemetry


@dataclass(frozen=True, slots=True)
class Subject:
    """What happened to which object, in the words of the ledger."""

    content_type_id: int
    label: str
    object_id: str
    action: str
    using: str


@dataclass(frozen=True, slots=True)
class Handling:
    """Who fans the event out: the dotted path, and whether its result hook is wanted."""

    deliverer: str
    result_hook: bool


@dataclass(slots=True)
class Captured:
    """An event that would have been recorded, with the hooks that it would have reached."""

    app_label: str
    object_name: str
    instance_pk: Any
    action: str
    payload: str | None
    hooks: list[Hook] = field(default_factory=list)
    instance: models.Model | None = field(default=None, repr=False, compare=False)

    def loaded(self) -> Any:
        """The payload as JSON values; None where it is rendered per hook."""
        return None if self.payload is None else ujson.loads(self.payload)


#: Where events go instead of the ledger while a test captures them.
capturing: ContextVar[list[Captured] | None] = ContextVar("doh_capturing", default=None)

#: Subjects whose last event in this process was heard: see `is_known`.
_known: set[Subject] = set()
_MOST_KNOWN: Final = 10_000


def subject_of(instance: models.Model, action: str, using: str) -> Subject:
    """The subject of an event; a proxy counts as its concrete model."""
    kind = content_type_of(type(instance), ledger_alias())
    return Subject(
        content_type_id=kind.pk,
        label=f"{kind.app_label}.{kind.model}",
        object_id=str(instance.pk),
        action=action,
        using=using,
    )


def listeners(subject: Subject) -> HookQuerySet:
    """The hooks that are to be told, enabled or not."""
    hooks: HookQuerySet = Hook.objects.using(ledger_alias())
    return hooks.listening(subject.content_type_id, subject.object_id, subject.action)


def is_heard(subject: Subject) -> bool:
    """Whether the event is worth a row: one indexed EXISTS.

    A deletion is, wherever the object has hooks at all: settled, it is what prunes them.
    """
    if subject.action == DELETED:
        own = Hook.objects.using(ledger_alias()).filter(
            content_type_id=subject.content_type_id, object_id=subject.object_id
        )
        if own.exists():
            return True
    return get_journal().is_heard(subject.content_type_id, subject.object_id, subject.action)


def is_known(subject: Subject) -> bool:
    """Whether somebody listened to the last such event, and it is enough that its INSERT asks.

    A save then costs one statement instead of two. Where nobody listens any more, the payload was
    composed in vain, once.
    """
    return subject in _known


def write(
    subject: Subject, content: Content, handling: Handling, *, ask: bool = False
) -> int | None:
    """INSERT the event, due at once by the database's clock; None if nobody was to be told of it.

    Returns its key. ``ask`` says that nobody has asked yet whether it `is_heard`.
    """
    trace = telemetry().trace()
    new = NewEvent(
        uid=new_uid(),
        content_type_id=subject.content_type_id,
        label=subject.label,
        object_id=subject.object_id,
        action=subject.action,
        using=subject.using,
        deliverer=handling.deliverer,
        result_hook=handling.result_hook,
        payload=content.payload,
        snapshot=content.snapshot,
        error=content.error[:DETAIL_LENGTH],
        traceparent=trace and trace.parent,
        tracestate=trace and trace.state,
        occurred_at=timezone.now(),
    )
    key = get_journal().record(new, ask=ask)
    _learn(subject, key is not None)
    return key


def _learn(subject: Subject, heard: bool) -> None:
    if not heard:
        _known.discard(subject)
    elif subject.action != DELETED:  # It happens once.
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known.add(subject)
