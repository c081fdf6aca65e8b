"""Result hooks: ``after_deliver(hooks)`` of a collection deliverer, once its event is settled."""

import logging
from collections.abc import Collection
from time import monotonic

from doh import conf
from doh.deliverers.kinds import CollectionDeliverer
from doh.deliverers.resolve import collection_at
from doh.exceptions import stack_of
from doh.journal import EventClaim, Flushed, Journal
from doh.models import Delivery, Hook
from doh.querysets import HookQuerySet

logger = logging.getLogger(__name__)


def settle(journal: Journal, flushed: Flushed) -> None:
    """Say what a flush ended, and run the result hooks that it made due."""
    for letter in flushed.dead:
        logger.warning(
            "Dead letter %s: event %s for hook %s: %s",
            letter.delivery_id,
            letter.event_id,
            letter.hook_id,
            letter.reason,
        )
    if flushed.result_events:
        run_result_hooks(journal, flushed.result_events)


def run_result_hooks(journal: Journal, ids: Collection[int] | None = None, limit: int = 100) -> int:
    """Run the result hooks that are due, those of the named events or any; returns how many.

    What slow ones leave no time for is left to whoever claims it after this lease: none is begun
    that somebody else may have begun already.
    """
    begin_until = monotonic() + conf.lease() / 2
    number = 0
    for claim in journal.claim_results(limit, conf.lease(), ids):
        if monotonic() > begin_until:
            break
        _run(journal, claim)
        journal.finish_event(claim)
        number += 1
    return number


def hooks_of(journal: Journal, event_id: int) -> HookQuerySet:
    """The hooks that an event was for, as a query that nobody has run yet."""
    told = Delivery.objects.using(journal.alias).filter(event_id=event_id)
    hooks: HookQuerySet = Hook.objects.using(journal.alias)
    return hooks.filter(pk__in=told.values("hook_id"))


def _run(journal: Journal, claim: EventClaim) -> None:
    try:
        deliverer = (collection_at(claim.deliverer).kind or CollectionDeliverer)()
        deliverer.after_deliver(hooks_of(journal, claim.id))
    except Exception as error:  # noqa: BLE001 - project code
        logger.error(
            "after_deliver failed for event %s of %s: %s",
            claim.id,
            claim.deliverer,
            stack_of(error),
        )
