"""What a flush ended: result hooks to run, dead letters to report."""

import logging
import time

from celery import shared_task

from doh.deliverers import chores
from doh.deliverers.celery import doorbell
from doh.deliverers.results import run_result_hooks
from doh.journal import Flushed, Journal, get_journal
from doh.names import FINISH
from doh_tasks.aside import aside
from doh_tasks.dead_letter import bury
from doh_tasks.limits import report

logger = logging.getLogger(__name__)


#: Result hooks that one claim takes: between two of them the task looks at the time.
CLAIM = 20


@shared_task(name=FINISH, ignore_result=True)
def finish(bell: str = "") -> None:
    """Run the result hooks that are due: each runs once, except around a kill at that moment.

    ``bell`` names the doorbell that rang for it, if one did. What a turn leaves is for the next
    one: sweeps and retries wait in the same queue.
    """
    until = time.monotonic() + chores.TURN
    if bell:
        doorbell.answered(bell, FINISH)
    journal = get_journal()
    # Nearly always there is none, which takes no connection to know.
    while aside(journal.has_due_results) and run_result_hooks(journal, limit=CLAIM):
        if time.monotonic() > until:
            doorbell.ring(FINISH)
            return


def announce(_journal: Journal, flushed: Flushed) -> None:
    """Have result hooks run, dead letters reported, and all workers know of failing hosts.

    The sweep does the first if this is lost.
    """
    report(flushed.written)
    try:
        if flushed.result_events:
            doorbell.ring(FINISH)
        bury(flushed.dead)
    except Exception as error:  # noqa: BLE001 - any broker, any fault: it is all in the ledger
        logger.warning("The broker could not be told what ended (%s)", type(error).__name__)
