"""Retries: pass the deliveries that are due again to batches, and have those delivered."""

from celery import shared_task

from doh import conf
from doh.journal import get_journal
from doh_tasks.aside import aside
from doh_tasks.collection import send
from doh_tasks.limits import slow_hosts
from doh_tasks.queues import RETRY, SLOW_QUEUE

#: Deliveries that one transaction takes, and transactions that one run makes at most.
STEP = 5_000
STEPS = 100


@shared_task(name=RETRY, ignore_result=True)
def retry() -> None:
    """Send every delivery whose next attempt is due; a retry is never in a first attempt's way."""
    journal = get_journal()
    slow = slow_hosts()
    for _ in range(STEPS):
        lanes = aside(journal.gather_lanes, STEP, conf.batch_size(), conf.queue_lease(), slow)
        send(journal, lanes.first)
        send(journal, lanes.slow, SLOW_QUEUE)
        # What becomes due meanwhile makes a better batch at the next beat.
        if len(lanes.first) + len(lanes.slow) < max(1, STEP // conf.batch_size()):
            return
