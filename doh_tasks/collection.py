"""Collect events: claim what is due, fan it out, and have the batches delivered."""

import logging

from celery import chord, current_app, shared_task
from celery.backends.base import DisabledBackend

from doh import conf
from doh.deliverers.celery import doorbell
from doh.deliverers.project import keep_built_in
from doh.fanout import fan_out
from doh.journal import Journal, Ring, get_journal
from doh.names import COLLECT, DELIVER_BATCH
from doh.telemetry import telemetry
from doh_tasks.queues import COLLECTION_QUEUE, ELEMENT_QUEUE, FINISH

logger = logging.getLogger(__name__)

#: Events that one claim takes.
CLAIM = 200


@shared_task(name=COLLECT, ignore_result=True)
def collect() -> None:
    """Fan out every event that is due.

    The doorbell comes off first: an event that is committed while this runs rings again.
    """
    doorbell.answered()
    journal = get_journal()
    while claims := journal.claim_events(CLAIM, conf.lease()):
        with telemetry().working(COLLECTION_QUEUE, (claim.traceparent for claim in claims)):
            for rings in fan_out(journal, keep_built_in(journal, claims)):
                send(journal, rings)


def send(journal: Journal, rings: list[Ring], queue: str = ELEMENT_QUEUE) -> None:
    """Have batches delivered; those that the broker does not take are left to the next sweep."""
    if not rings:
        return
    try:
        _publish(rings, queue)
    except Exception:  # any broker, any fault: the ledger knows what is owed
        logger.exception("%d batches could not be published; the sweep finds them", len(rings))
        journal.hand_back(rings)


def _publish(rings: list[Ring], queue: str) -> None:
    """One chord per slice: its body looks for result hooks once every batch has been taken up.

    A batch alone needs none, its own flush says what is finished.
    """
    header = [current_app.signature(DELIVER_BATCH, tuple(ring), queue=queue) for ring in rings]
    if len(header) == 1 or isinstance(current_app.backend, DisabledBackend):
        for signature in header:
            signature.apply_async(ignore_result=True)
        return
    chord(header)(current_app.signature(FINISH, immutable=True))
