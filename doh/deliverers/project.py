"""Events whose deliverer is a callable of the project's own: it owns what it is handed."""

import logging
from collections.abc import Sequence

from django.apps import apps

from doh import conf
from doh.context import CurrentEvent, working_on
from doh.deliverers.kinds import CollectionDeliverer
from doh.deliverers.resolve import Deliverer, collection_at
from doh.exceptions import HookConfigurationError, reason_of, stack_of
from doh.journal import EventClaim, Journal
from doh.retry import next_delay

logger = logging.getLogger(__name__)


def hand_over(
    journal: Journal, claim: EventClaim, deliverer: Deliverer[CollectionDeliverer]
) -> None:
    """Call it: returned means released, an exception means again, on the schedule.

    An event that it has passed on to a built-in deliverer is that one's to see through.
    """
    current = CurrentEvent(claim.id, claim)
    try:
        with working_on(current):
            deliverer.call(**keywords_of(claim))
    except Exception as error:  # noqa: BLE001 - project code
        logger.error("The collection deliverer %s failed: %s", deliverer.path, stack_of(error))
        if not current.taken:
            _postpone(journal, claim, reason_of(error))
    else:
        if not current.taken:
            journal.release_event(claim)


def keep_built_in(journal: Journal, claims: Sequence[EventClaim]) -> list[EventClaim]:
    """The claims to fan out here; the others go to the project's callables.

    One whose deliverer can't be used is tried again on the schedule, in case that gets mended.
    """
    kept = []
    for claim in claims:
        try:
            deliverer = _known(claim.deliverer)
        except HookConfigurationError as error:
            logger.exception("Event %s can't be collected", claim.id)
            _postpone(journal, claim, str(error))
            continue
        if deliverer.kind is None:
            hand_over(journal, claim, deliverer)
        else:
            kept.append(claim)
    return kept


def keywords_of(claim: EventClaim) -> dict[str, object]:
    """The keywords that a collection deliverer is called with."""
    model = apps.get_model(claim.label)
    return {
        "app_label": model._meta.app_label,
        "object_name": model._meta.object_name,
        "instance_pk": model._meta.pk.to_python(claim.object_id),
        "action": claim.action,
        "payload": claim.payload,
    }


def _known(path: str) -> Deliverer[CollectionDeliverer]:
    """A path from the ledger may name a deliverer class, or what the settings name, no more."""
    deliverer = collection_at(path)
    if deliverer.kind is None and path != conf.collection_deliverer():
        raise HookConfigurationError(
            f"{path!r} is neither a HooksDeliverer nor HOOK_COLLECTION_DELIVERER."
        )
    return deliverer


def _postpone(journal: Journal, claim: EventClaim, error: str) -> None:
    schedule = conf.retry_schedule()
    tries = claim.tries + 1
    delay = None if tries >= len(schedule) else next_delay(schedule, tries)
    journal.postpone_event(claim, delay, error)
