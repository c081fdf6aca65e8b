"""Send a test event to one hook, and to no other."""

from functools import partial

from django.db import transaction

from doh import conf
from doh.deliverers import inline, resolve
from doh.deliverers.base import HooksDeliverer
from doh.journal import Ring, get_journal, ledger_alias
from doh.models import Event, Hook
from doh.payloads import dump_json

ACTION = "test"


def send_trial(hook: Hook) -> Event:
    """Record a ``test`` event for a hook and deliver it as any other, after the commit.

    Its payload is ``{"test": true}``; it goes into the ledger and is retried like any other.
    """
    journal = get_journal()
    kind = hook.content_type
    event = Event(
        content_type=kind,
        label=f"{kind.app_label}.{kind.model}",
        object_id=hook.object_id or "",
        action=ACTION,
        using=ledger_alias(),
        deliverer=resolve.path_of(HooksDeliverer),
        payload=dump_json({"test": True}),
        hooks_until=hook.pk,
    )
    ring = journal.write_trial(event, hook.pk, conf.queue_lease())
    transaction.on_commit(partial(_deliver, ring), using=ledger_alias(), robust=True)
    return event


def _deliver(ring: Ring) -> None:
    send = inline.publish if resolve.collection().queued else inline.send_rings
    send(get_journal(), [ring])
