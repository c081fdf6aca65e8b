"""Deliver: one batch of pairs through the pump, or one unattached POST."""

import logging

from celery import shared_task
from celery.signals import worker_process_shutdown, worker_shutdown

from doh import conf
from doh.deliverers import inline
from doh.deliverers.celery import doorbell
from doh.deliverers.eventlet import send_with_eventlet
from doh.deliverers.kinds import watcher_of
from doh.deliverers.resolve import dump_for, element, element_at, uses_eventlet
from doh.deliverers.sending import Sender, sender_for
from doh.dispatch import Work, prepare
from doh.exceptions import BadTargetError, HookConfigurationError, stack_of
from doh.journal import Journal, Ring, get_journal
from doh.names import DELIVER_BATCH, POST_ONCE
from doh.telemetry import telemetry
from doh_tasks.aside import aside
from doh_tasks.limits import HOLD, admit
from doh_tasks.pump import Flight, current_pump, stop_pump
from doh_tasks.queues import ELEMENT_QUEUE
from doh_tasks.results import announce

logger = logging.getLogger(__name__)

#: Seconds that a task stays with a full batch, and with a smaller one as much less: many small ones
#: are no more work than a full one. What takes longer goes on in the pump.
PATIENCE = 0.1


@shared_task(name=DELIVER_BATCH, ignore_result=True)
def deliver_batch(batch_id: int, epoch: int) -> None:
    """Claim a batch and send it; a message that is late or repeated does nothing.

    It waits while the pump is full, before the claim: a lease is for sending, not for queueing.
    """
    current_pump(announce).wait_for_room()
    journal = get_journal()
    work = aside(_claim, journal, Ring(batch_id, epoch))
    if work is None:
        return
    with telemetry().working(ELEMENT_QUEUE, work.traces):
        sender = _inline_sender(work)
        if sender is None:
            share = len(work.jobs) / conf.batch_size()
            _launch(journal, work).done.wait(PATIENCE * share)
        else:
            # Only the pump can hold a POST back.
            inline.send_work(journal, admit(work, 0.0), sender, announce)


def deliver_here(journal: Journal, ring: Ring) -> bool:
    """Send a batch from this process, and don't wait for it; False if it has no room for one.

    For whoever just made a batch that is alone: a message about it would take longer and cost
    more than its POSTs.
    """
    if not current_pump(announce).wait_for_room(0):
        return False
    work = _claim(journal, ring)
    if work is not None:
        with telemetry().working(ELEMENT_QUEUE, work.traces):
            _launch(journal, work)
    return True


@shared_task(name=POST_ONCE, ignore_result=True)
def post_once(token: str) -> None:
    """Make the unattached POST that was put aside under a token; it is logged, and not owed."""
    post = doorbell.take_post(token)
    if post is None:
        logger.warning("An unattached POST was taken already, or waited too long")
        return
    path, target, payload = post
    deliverer = element_at(path)
    if deliverer.kind is None:
        raise HookConfigurationError(f"{path!r} is no HookDeliverer.")
    try:
        deliverer.call(target, payload)
    except BadTargetError as error:
        logger.warning("An unattached POST was not made: %s", error)
    except Exception as error:  # noqa: BLE001 - a project's subclass
        logger.error("An unattached POST by %s failed: %s", path, stack_of(error))


def _claim(journal: Journal, ring: Ring) -> Work | None:
    claim = journal.claim_batch(ring, conf.lease())
    return None if claim is None else prepare(journal, claim, dump_for)


def _launch(journal: Journal, work: Work) -> Flight:
    watcher = watcher_of(element().kind)
    return current_pump(announce).submit(journal, admit(work, HOLD), watcher)


def _inline_sender(work: Work) -> Sender | None:
    """What sends the batch in the task itself: eventlet, or a callable of the project's own."""
    if any(uses_eventlet(path) for path in work.deliverers):
        return send_with_eventlet
    chosen = element()
    return sender_for(chosen) if chosen.kind is None else None


@worker_process_shutdown.connect(dispatch_uid="doh.pump")
@worker_shutdown.connect(dispatch_uid="doh.pump")
def _on_shutdown(**_: object) -> None:
    """A pool's process ends, or a worker without processes: write, and hand back the rest."""
    stop_pump()
