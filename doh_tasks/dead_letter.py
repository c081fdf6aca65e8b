"""Dead letters: the ledger holds them, and the broker's dead-letter queue tells of them."""

import logging
from collections.abc import Sequence

from celery import current_app, shared_task

from doh.journal import DeadLetter
from doh_tasks.queues import REPORT

logger = logging.getLogger(__name__)


@shared_task(name=REPORT, ignore_result=True)
def report(letters: list[list[int | str]]) -> None:
    """Log dead letters, each ``[delivery id, event id, hook id, reason]``.

    A message waits on its queue until somebody reads it: consume the queue with a worker for
    this, or with a consumer of your own.
    """
    for delivery_id, event_id, hook_id, reason in letters:
        logger.warning(
            "Dead letter %s: event %s for hook %s: %s", delivery_id, event_id, hook_id, reason
        )


def bury(dead: Sequence[DeadLetter]) -> None:
    """Send one message for the dead letters of a flush: ids and reasons, nothing else."""
    if dead:
        letters = [[one.delivery_id, one.event_id, one.hook_id, one.reason] for one in dead]
        current_app.send_task(REPORT, (letters,), ignore_result=True)
