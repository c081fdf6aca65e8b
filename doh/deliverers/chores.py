"""The chores that beat gives to Celery's workers, done in this process: for projects without."""

import math
import time
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from doh import conf
from doh.deliverers import inline
from doh.deliverers.eventlet import send_with_eventlet
from doh.deliverers.inline import Stopping
from doh.deliverers.project import keep_built_in
from doh.deliverers.resolve import dump_for, element, uses_eventlet
from doh.deliverers.results import run_result_hooks
from doh.deliverers.sending import Sender, send_with_requests, sender_for
from doh.dispatch import Work, prepare
from doh.fanout import fan_out
from doh.journal import Journal, Ring, get_journal

#: Rows that one step takes; a run repeats its steps until nothing is due.
STEP = 200
#: Seconds of one turn at work that may never end; what else there is to do comes between two turns.
TURN = 0.1


class Pruned(NamedTuple):
    """How many rows one turn deleted, and whether there are more."""

    rows: int
    more: bool


def work_once(stopping: Stopping = inline.never) -> int:
    """Do whatever is due: fan-outs, batches, retries, result hooks; returns how many steps.

    Told to stop, it starts nothing more, and others may have at once what it has left.
    """
    journal = get_journal()
    journal.beat()
    steps = 0
    while not stopping() and (
        _collect(journal, stopping) or _retry(journal, stopping) or run_result_hooks(journal)
    ):
        steps += 1
    return steps


def prune(seconds: float = math.inf) -> Pruned:
    """Delete what was settled ``HOOK_KEEP_DAYS`` ago, and the hooks of deleted objects.

    The first step that ends after so many seconds is the last.
    """
    journal = get_journal()
    before = journal.now() - timedelta(days=conf.keep_days())
    ends = time.monotonic() + seconds
    number = 0
    for step in (partial(journal.prune, before), journal.prune_orphans):
        while found := step(STEP):
            number += found
            if time.monotonic() >= ends:
                return Pruned(number, more=True)
    return Pruned(number, more=False)


def _collect(journal: Journal, stopping: Stopping) -> bool:
    claims = journal.claim_events(STEP, conf.lease())
    for rings in fan_out(journal, keep_built_in(journal, claims)):
        _send(journal, rings, stopping)
        if stopping():
            break
    return bool(claims)


def _retry(journal: Journal, stopping: Stopping) -> bool:
    rings = journal.overdue_batches(STEP, conf.queue_lease())
    rings += journal.gather_retries(STEP, conf.batch_size(), conf.queue_lease())
    _send(journal, rings, stopping)
    return bool(rings)


def _send(journal: Journal, rings: list[Ring], stopping: Stopping) -> None:
    for number, ring in enumerate(rings):
        if stopping():
            journal.hand_back(rings[number:])
            return
        claim = journal.claim_batch(ring, conf.lease())
        work = None if claim is None else prepare(journal, claim, dump_for)
        if work is not None:
            inline.send_work(journal, work, _sender(work), stopping=stopping)


def _sender(work: Work) -> Sender:
    """Here, never through the broker, whatever the settings say."""
    if any(uses_eventlet(path) for path in work.deliverers):
        return send_with_eventlet
    chosen = element()
    return send_with_requests if chosen.kind else sender_for(chosen)
