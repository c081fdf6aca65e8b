"""Retries: pass the deliveries that are due again to batches, and have those delivered."""

from celery import shared_task

from doh import conf
from doh.journal import get_journal
from doh_tasks.collection import send
from doh_tasks.queues import RETRY

#: Deliveries that one transaction takes, and transactions that one run makes at most.
STEP = 5_000
STEPS = 100


@shared_task(name=RETRY, ignore_result=True)
def retry() -> None:
    """Send every delivery whose next attempt is due."""
    journal = get_journal()
    for _ in range(STEPS):
        rings = journal.gather_retries(STEP, conf.batch_size(), conf.queue_lease())
        if not rings:
            return
        send(journal, rings)
