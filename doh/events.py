"""From something that happened to an event on its way: the top of the outbox."""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.apps import apps
from django.db import connections, models, transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from doh import conf, outbox
from doh.context import CurrentEvent, working_on
from doh.deliverers import project, resolve
from doh.deliverers.kinds import CollectionDeliverer
from doh.exceptions import HookConfigurationError
from doh.journal import get_journal, ledger_alias
from doh.models import ACTION_LENGTH, CHANGED
from doh.payloads import Content, compose
from doh.silence import is_silent
from doh.telemetry import telemetry

logger = logging.getLogger(__name__)


@sensitive_variables()
def send_event(
    instance: models.Model, action: str, payload: Any = None, using: str | None = None
) -> bool:
    """Record an event in the running transaction, and hand it out when that commits.

    ``payload=None`` asks the model's payload methods; a ``str`` is JSON already dumped. Returns
    whether a hook listens. Raises ValueError for an instance without a key.
    """
    if is_silent():
        return False
    _check(instance, action)
    alias = using or instance._state.db or ledger_alias()
    subject = outbox.subject_of(instance, action, alias)
    captured = outbox.capturing.get()
    if captured is not None:
        event = _capture(instance, subject, payload)
        if event.hooks:
            captured.append(event)
        return bool(event.hooks)
    here = alias == ledger_alias()
    known = here and outbox.is_known(subject)
    if not (known or outbox.is_heard(subject)):
        return False
    deliverer = _configured()
    content = compose(instance, payload, resolve.dump_of(deliverer), alias)
    record = partial(_record, subject, content, deliverer, ask=known)
    if here:
        return record()
    # Another database commits on its own: the event can only be written once that is done.
    transaction.on_commit(record, using=alias, robust=True)
    return True


def send_events(queryset: models.QuerySet[Any], action: str = CHANGED, payload: Any = None) -> int:
    """Record one event for each object of a queryset; returns how many had a hook listening.

    For ``bulk_create()`` and ``update()``, which send no signals in Django. Objects are read in
    chunks; events of objects without hooks cost one EXISTS each.
    """
    number = 0
    with transaction.atomic(using=ledger_alias()):
        for instance in queryset.iterator(chunk_size=1000):
            number += send_event(instance, action, payload, using=queryset.db)
    return number


def _check(instance: models.Model, action: str) -> None:
    if not isinstance(instance, models.Model):
        raise TypeError(f"instance must be a model instance, not {instance!r}")
    if instance.pk is None:
        raise ValueError(
            f"instance must have a key: this {type(instance).__name__} is not saved yet"
        )
    if not isinstance(action, str) or not 0 < len(action) <= ACTION_LENGTH:
        raise ValueError(
            f"action must be a text of 1 to {ACTION_LENGTH} characters, not {action!r}"
        )


def _configured() -> resolve.Deliverer[CollectionDeliverer]:
    """The deliverer of the settings; with a broken setting the base class, and an error logged.

    A save must not fail for it: the event is recorded, and the sweep hands it out.
    """
    try:
        return resolve.collection()
    except HookConfigurationError:
        logger.exception("HOOK_COLLECTION_DELIVERER can't be used; the sweep will deliver")
        return resolve.collection_at("doh.deliverers.base.HooksDeliverer.delay")


def _record(
    subject: outbox.Subject,
    content: Content,
    deliverer: resolve.Deliverer[CollectionDeliverer],
    *,
    ask: bool,
) -> bool:
    handling = outbox.Handling(deliverer.path, resolve.has_result_hook(deliverer))
    key = outbox.write(subject, content, handling, ask=ask)
    if key is None:
        return False
    commit = _running_commit()
    transaction.on_commit(
        lambda: _hand_out(subject, key, deliverer, commit), using=ledger_alias(), robust=True
    )
    return True


@dataclass(slots=True)
class _Commit:
    """One transaction's events share one: whoever comes first at its commit rings for all.

    A callback per event is needed all the same: Django drops those of a savepoint that rolls
    back, and any of them may be the one that is left.
    """

    rung: bool = False


def _running_commit() -> _Commit:
    connection: Any = connections[ledger_alias()]
    if not connection.in_atomic_block:
        return _Commit()
    commit: _Commit | None = getattr(connection, "_doh_commit", None)
    if commit is None or commit.rung:
        commit = connection._doh_commit = _Commit()
    return commit


def _hand_out(
    subject: outbox.Subject,
    key: int,
    deliverer: resolve.Deliverer[CollectionDeliverer],
    commit: _Commit,
) -> None:
    """Call the collection deliverer for a committed event."""
    telemetry().recorded(subject.label, subject.action)
    if deliverer.kind is None:
        journal = get_journal()
        for claim in journal.claim_events(1, conf.lease(), [key]):
            project.hand_over(journal, claim, deliverer)
        return
    if deliverer.queued and commit.rung:
        return
    commit.rung = True
    with working_on(CurrentEvent(key)):
        deliverer.call()


def _capture(instance: models.Model, subject: outbox.Subject, payload: Any) -> outbox.Captured:
    content = compose(instance, payload, resolve.dump_of(_configured()), subject.using)
    meta = apps.get_model(subject.label)._meta
    return outbox.Captured(
        app_label=meta.app_label,
        object_name=meta.object_name or "",
        instance_pk=instance.pk,
        action=subject.action,
        payload=content.payload,
        hooks=list(outbox.listeners(subject).enabled(timezone.now()).order_by("pk")),
        instance=instance,
    )
