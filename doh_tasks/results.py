"""What a flush ended: result hooks to run, dead letters to report."""

import logging

from celery import current_app, shared_task

from doh.deliverers.results import run_result_hooks
from doh.journal import Flushed, Journal, get_journal
from doh_tasks.aside import aside
from doh_tasks.dead_letter import bury
from doh_tasks.limits import report
from doh_tasks.queues import FINISH

logger = logging.getLogger(__name__)


@shared_task(name=FINISH, ignore_result=True)
def finish() -> None:
    """Run every result hook that is due: each runs once, except around a kill at that moment."""
    run_due_result_hooks(get_journal())


def run_due_result_hooks(journal: Journal) -> None:
    """The same within a task; nearly always there is none, which takes no connection to know."""
    while aside(journal.has_due_results) and run_result_hooks(journal):
        pass


def announce(_journal: Journal, flushed: Flushed) -> None:
    """Have result hooks run, dead letters reported, and all workers know of failing hosts.

    The sweep does the first if this is lost.
    """
    report(flushed.written)
    try:
        if flushed.result_events:
            current_app.send_task(FINISH, ignore_result=True)
        bury(flushed.dead)
    except Exception as error:  # noqa: BLE001 - any broker, any fault: it is all in the ledger
        logger.warning("The broker could not be told what ended (%s)", type(error).__name__)
