"""Collect events: claim what is due, fan it out, and have the batches delivered."""

import logging
import time
from collections.abc import Iterable

from celery import chord, current_app, shared_task
from celery.backends.base import DisabledBackend

from doh import conf
from doh.deliverers.celery import doorbell
from doh.deliverers.project import keep_built_in
from doh.deliverers.resolve import collection, element, uses_eventlet
from doh.exceptions import HookConfigurationError
from doh.fanout import fan_out, first_slice
from doh.journal import Journal, Ring, get_journal
from doh.names import COLLECT, DELIVER_BATCH, FINISH
from doh.telemetry import telemetry
from doh_tasks.aside import aside
from doh_tasks.element import deliver_here
from doh_tasks.queues import COLLECTION_QUEUE, ELEMENT_QUEUE

logger = logging.getLogger(__name__)

#: Events that one claim takes, and the first look at what is fresh.
CLAIM = 500
#: Pairs of a batch of the first look: nearly always nobody has anything to do yet, so several
#: workers shall find some. An event to 1,000 hooks went from 46 to 55 % of a bare loop's rate (two
#: runs), and one with as many handshakes from 87 to 125; to 2,000 hooks it was 45 and is 44.
FIRST_BATCH = 500
#: Fresh events that a later look takes, which finds many only if there is a backlog: of 20,000
#: events to a hook each, 33 % of a bare loop's rate was reached, by 500 at a time 29 (two runs).
BACKLOG = 2_000
#: Seconds of one turn: in a tenth of a second 1,000 events are fanned out, and the end of a turn
#: and the beginning of the next cost an eighth of what that does.
TURN = 0.25
#: Seconds that a turn waits for more while events come a few at a time: each round costs this
#: process, an element worker and the database as much for one event as for twenty. On two cores a
#: stream of single saves went from 176 to 215 a second, and half of one of 50 a second arrived
#: within 22 and 32 ms, not 58 and 34 (two runs). 15 ms gathered fewer; after 60 ms they came later.
GATHER = 0.03


@shared_task(name=COLLECT, ignore_result=True)
def collect(bell: str = "") -> None:
    """Fan out every event that is due; ``bell`` names the doorbell that rang for it, if one did.

    The doorbell comes off after the first look and before the second: an event that is committed
    once nobody looks again rings anew, and whoever rang does not wait for it. Where events never
    cease, a turn rings for the next one: sweeps and retries come between two turns, and a worker
    must come to an end when it is asked to stop, or when all others moved to another broker.
    """
    until = time.monotonic() + TURN
    journal = get_journal()
    try:
        found = aside(_collect_at_once, journal, CLAIM, min(FIRST_BATCH, conf.batch_size()))
    finally:
        if bell:
            doorbell.answered(bell)
    if found and aside(_gather, journal, until):
        doorbell.ring()
        return
    while claims := aside(journal.claim_events, CLAIM, conf.lease()):
        with telemetry().working(COLLECTION_QUEUE, (claim.traceparent for claim in claims)):
            kept = keep_built_in(journal, claims)
            here = _served_here({claim.deliverer for claim in kept}, len(claims))
            for rings in fan_out(journal, kept):
                _pass_on(journal, rings, here=here)
        if time.monotonic() > until:
            doorbell.ring()
            return


def _collect_at_once(journal: Journal, limit: int, batch_size: int) -> int:
    """Fan out what is fresh and fits into the first slice: nearly everything, nearly always.

    Returns how many events it was, of ``limit`` at most; 0 if they owe more than a slice.
    """
    deliverer = _built_in()
    if deliverer is None:
        return 0
    found = journal.fan_out_at_once(
        deliverer,
        limit,
        first_slice(),
        batch_size=batch_size,
        queue_lease=conf.queue_lease(),
    )
    if found is None or not found.events:
        return 0
    with telemetry().working(COLLECTION_QUEUE, found.traces):
        here = _served_here({deliverer}, found.events)
        _pass_on(journal, list(found.rings), here=here)
    return found.events


def _gather(journal: Journal, until: float) -> bool:
    """Fan out what came during the first look; it is part of a stream, and more is about to come.

    Nearly always nothing came, which is soon said. Returns whether the turn is over and what is due
    next may well wait for another: to claim 500 events takes the database twice as long, and this
    process as long again.
    """
    limit = BACKLOG
    while journal.has_due_events():
        found = _collect_at_once(journal, limit, conf.batch_size())
        if not found and limit == CLAIM:
            return False
        if not found:
            limit = CLAIM  # So many owe more than a slice: fewer may fit.
        elif time.monotonic() > until:
            deliverer = _built_in()
            return deliverer is not None and journal.begins_fresh(deliverer)
        elif found < CLAIM:
            time.sleep(GATHER)
    return False


def _built_in() -> str | None:
    """Path of the deliverer that the settings name, if it is one of ours or a subclass."""
    try:
        found = collection()
    except HookConfigurationError:
        return None  # The claims of its events say so.
    return None if found.kind is None else found.path


def _pass_on(journal: Journal, rings: list[Ring], *, here: bool) -> None:
    if not (here and len(rings) == 1 and deliver_here(journal, rings[0])):
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


def _served_here(deliverers: Iterable[str], number: int) -> bool:
    """Whether what so many events of these deliverers owe may be sent from here, as one batch.

    Never a callable of the project's own, which may take its time; and a backlog is work for all
    the element workers.
    """
    if number >= CLAIM or not _may_send():
        return False
    try:
        built_in = element().kind is not None
    except HookConfigurationError:
        return False  # For the element workers to complain of.
    return built_in and not any(map(uses_eventlet, deliverers))


def _may_send() -> bool:
    """A worker that collects alone may have no way out to the internet: only the settings know."""
    wanted = conf.deliver_where_collected()
    return ELEMENT_QUEUE in current_app.amqp.queues.consume_from if wanted is None else wanted


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
