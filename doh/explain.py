"""Why did, or didn't, anything fire for an object: read from the settings and the ledger."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from doh import conf
from doh.exceptions import reason_of
from doh.journal import ledger_alias
from doh.models import Delivery, Event, Hook, content_type_of
from doh.querysets import ANY_ACTION
from doh.receivers import allowed_models

#: Hooks, and events, that are listed one by one.
LISTED = 20


def explain(model: type[models.Model], key: str, action: str | None, limit: int) -> Iterator[str]:
    """The lines of the explanation; ``action`` narrows it, ``limit`` is the number of events."""
    kind = content_type_of(model, ledger_alias())
    label = model._meta.label
    yield f"{label} {key}"
    yield from _object_line(model, key)
    yield ""
    yield from _settings_lines(model, label)
    hooks = _hooks(kind, key)
    yield ""
    yield from _hook_lines(hooks, action)
    yield ""
    events = list(_events(kind, key, action)[:limit])
    yield from _event_lines(events)
    yield ""
    yield _verdict(model, hooks, events, action)


def _object_line(model: type[models.Model], key: str) -> Iterator[str]:
    try:
        exists = model._base_manager.filter(pk=key).exists()
    except (ValueError, TypeError, ValidationError) as error:
        yield f"  {key!r} is no key of this model: {reason_of(error)}"
        return
    yield "  exists" if exists else "  does not exist (any more)"


def _settings_lines(model: type[models.Model], label: str) -> Iterator[str]:
    yield "Settings"
    if model in set(allowed_models()):
        yield f"  saves and deletes are events: HOOK_ALLOWED_MODELS names {label}"
    else:
        yield f"  saves and deletes are no events: add {label!r} to HOOK_ALLOWED_MODELS"
        yield "  (hook_event works all the same)"
    yield f"  events are handed to {conf.collection_deliverer()}"
    yield f"  targets are posted to by {conf.element_deliverer()}"


def _hooks(kind: ContentType, key: str) -> list[Hook]:
    rows = Hook.objects.using(ledger_alias()).filter(
        Q(object_id=key) | Q(object_id__isnull=True), content_type=kind
    )
    # Without their secrets: one that can't be read must not end the explanation.
    return list(rows.defer(*Hook.ENCRYPTED).order_by("pk"))


def _hook_lines(hooks: list[Hook], action: str | None) -> Iterator[str]:
    yield f"Hooks: {len(hooks)}"
    for hook in hooks[:LISTED]:
        whole = " (every object)" if hook.object_id is None else ""
        deaf = "" if _listens(hook, action) else f", not to {action}"
        yield (
            f"  {hook.pk}: listens to {hook.action}{deaf}{whole}, {where(hook.target)},"
            f" {_state(hook)}"
        )
    if len(hooks) > LISTED:
        yield f"  and {len(hooks) - LISTED} more"


def _listens(hook: Hook, action: str | None) -> bool:
    return action is None or hook.action in (action, ANY_ACTION)


def _state(hook: Hook) -> str:
    if hook.disabled_at is not None:
        return f"disabled {_time(hook.disabled_at)}: {hook.disabled_reason}"
    if not hook.is_enabled:
        return f"expired {_time(hook.expires_at)}"
    if hook.failing_since is not None:
        return f"enabled, failing since {_time(hook.failing_since)}"
    return "enabled"


def _events(kind: ContentType, key: str, action: str | None) -> models.QuerySet[Event]:
    label = f"{kind.app_label}.{kind.model}"
    rows = Event.objects.using(ledger_alias()).filter(label=label, object_id=key)
    return (rows.filter(action=action) if action else rows).order_by("-pk")


def _event_lines(events: list[Event]) -> Iterator[str]:
    yield "Last events" if events else "No event is recorded"
    for event in events:
        yield f"  {event.pk}: {event.action} {_time(event.occurred_at)}, {_progress(event)}"
        if event.error:
            yield f"    {event.error}"
        rows = Delivery.objects.using(ledger_alias()).filter(event_id=event.pk)
        for delivery in rows.order_by("hook_id")[:LISTED]:
            yield f"    hook {delivery.hook_id}: {_outcome(delivery)}"
        more = rows.count() - LISTED
        if more > 0:
            yield f"    and {more} more"


def _progress(event: Event) -> str:
    if event.finished_at is not None and event.fanned_at is None:
        return "given up"
    if event.finished_at is not None:
        return "every hook has had a first outcome"
    if event.fanned_at is None:
        return f"waits to be fanned out, due {_time(event.due_at)}"
    return f"{event.pending} hook(s) wait for the first attempt"


def _outcome(delivery: Delivery) -> str:
    said = f" ({delivery.detail})" if delivery.detail else ""
    if delivery.status == Delivery.Status.WAITING:
        when = "now" if delivery.due_at is None else _time(delivery.due_at)
        return f"attempt {delivery.attempts + 1} due {when}{said}"
    return f"{delivery.status} after {delivery.attempts} attempt(s){said}"


def _verdict(
    model: type[models.Model], hooks: list[Hook], events: list[Event], action: str | None
) -> str:
    enabled = [hook for hook in hooks if hook.is_enabled and _listens(hook, action)]
    if not enabled:
        return "Nothing is sent: no enabled hook listens."
    if not events and model not in set(allowed_models()):
        return f"{len(enabled)} hook(s) listen, but saves of this model are no events."
    if not events:
        return f"{len(enabled)} hook(s) listen; nothing has happened since they were made."
    rows = Delivery.objects.using(ledger_alias()).filter(event_id=events[0].pk)
    reached = rows.filter(status=Delivery.Status.SUCCEEDED).count()
    waiting = rows.filter(status=Delivery.Status.WAITING).count() + events[0].pending
    return (
        f"{len(enabled)} hook(s) listen; the last event reached {reached},"
        f" and {waiting} wait for an attempt."
    )


def where(target: str) -> str:
    """A target without what may be secret in it: user, password and query."""
    try:
        parts = urlsplit(target)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(no URL)"
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _time(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    local = moment if timezone.is_naive(moment) else timezone.localtime(moment)
    return local.strftime("%Y-%m-%d %H:%M:%S")
