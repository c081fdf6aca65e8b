"""Maintenance: the sweep for whatever is due and nobody came for, and the pruning."""

import time

from celery import shared_task

from doh import conf, failing
from doh.deliverers import chores
from doh.journal import get_journal
from doh.names import SWEEP
from doh_tasks.aside import aside
from doh_tasks.collection import collect, send
from doh_tasks.queues import DISABLE_FAILING, PRUNE, PRUNE_EVERY
from doh_tasks.results import finish
from doh_tasks.retries import retry

#: Batches rung for in one transaction; transactions in one sweep at most.
STEP = 1_000
STEPS = 50


@shared_task(name=SWEEP, ignore_result=True)
def sweep() -> None:
    """Look for whatever is due in the ledger and nobody came for, and have it done.

    Retries are such, too, and have no message of their own: what a message to idle processes costs
    is waking up for it.
    """
    journal = get_journal()
    aside(journal.beat)
    for _ in range(STEPS):
        rings = aside(journal.overdue_batches, STEP, conf.queue_lease())
        if rings:
            send(journal, rings)
        if len(rings) < STEP:
            break
    if aside(journal.has_due_events):
        collect.delay()
    if aside(journal.has_due_results):
        finish.delay()
    retry()


@shared_task(name=PRUNE, ignore_result=True)
def prune(until: float = 0.0) -> None:
    """Delete what was settled ``HOOK_KEEP_DAYS`` ago, and the hooks of deleted objects.

    One turn at it; what is left takes further turns, so that a worker which also collects goes on
    collecting, ``until`` beat calls for it anew (seconds since the epoch).
    """
    until = until or time.time() + PRUNE_EVERY
    if chores.prune(chores.TURN).more and time.time() < until:
        prune.delay(until)


@shared_task(name=DISABLE_FAILING, ignore_result=True)
def disable_failing() -> None:
    """Warn of hooks that have failed for days, and disable those that went on."""
    failing.disable_failing(get_journal())
