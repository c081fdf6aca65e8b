"""Hand an event to a collection callable of the project's own, which owns it from then on."""

import logging

from django.apps import apps

from doh import conf
from doh.context import CurrentEvent, working_on
from doh.deliverers.kinds import CollectionDeliverer
from doh.deliverers.resolve import Deliverer
from doh.journal import EventClaim, Journal
from doh.retry import next_delay

logger = logging.getLogger(__name__)


def hand_over(
    journal: Journal, claim: EventClaim, deliverer: Deliverer[CollectionDeliverer]
) -> None:
    """Call it: returned means released, an exception means again, on the schedule."""
    current = CurrentEvent(claim.id, claim)
    try:
        with working_on(current):
            deliverer.call(**keywords_of(claim))
    except Exception as error:
        logger.exception("The collection deliverer %s failed", deliverer.path)
        schedule = conf.retry_schedule()
        tries = claim.tries + 1
        delay = None if tries >= len(schedule) else next_delay(schedule, tries)
        journal.postpone_event(claim, delay, f"{type(error).__name__}: {error}")
    else:
        if not current.taken:
            journal.release_event(claim)


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
