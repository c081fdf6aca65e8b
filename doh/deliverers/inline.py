"""Deliver in this process: the engine of the synchronous and the eventlet deliverers.

It claims the same rows with the same journal as the Celery workers do; only the transport
differs.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from django.views.decorators.debug import sensitive_variables

from doh import conf
from doh.deliverers import results
from doh.deliverers.kinds import watcher_of
from doh.deliverers.resolve import dump_for, element
from doh.deliverers.sending import Sender, Sent, run_after_deliver, sender_for
from doh.dispatch import Job, Work, prepare
from doh.fanout import fan_out
from doh.journal import EventClaim, Flushed, Journal, Ring, Settled, get_journal
from doh.telemetry import telemetry

logger = logging.getLogger(__name__)

#: Seconds after which outcomes are written even if the batch is not through.
FLUSH_EVERY = 1.0
FLUSH_SIZE = 500

#: Told what a flush ended: result hooks that are due, dead letters.
Announce = Callable[[Journal, Flushed], None]

#: Asked before each job whether it shall be the last.
Stopping = Callable[[], bool]


def claim(event_id: int) -> list[EventClaim]:
    """Claim an event that was just recorded; nothing if somebody was faster."""
    return get_journal().claim_events(1, conf.lease(), [event_id])


def deliver_claims(claims: Sequence[EventClaim], sender: Sender | None = None) -> None:
    """Fan claimed events out, and send to every hook, here and now."""
    journal = get_journal()
    for rings in fan_out(journal, claims):
        send_rings(journal, rings, sender)


def send_rings(journal: Journal, rings: list[Ring], sender: Sender | None = None) -> None:
    """Send batches here, or through Celery where the element deliverer is a queued one."""
    if sender is None and element().queued:
        publish(journal, rings)
        return
    for ring in rings:
        deliver_batch(journal, ring, sender)


def publish(journal: Journal, rings: list[Ring]) -> None:
    """Have workers send batches; those that no worker could be told of are given back."""
    from doh.deliverers.celery import doorbell

    if not doorbell.publish(rings):
        journal.hand_back(rings)


def deliver_batch(journal: Journal, ring: Ring, sender: Sender | None = None) -> None:
    """Claim one batch and send it; nothing happens if it is gone or somebody else's."""
    claim = journal.claim_batch(ring, conf.lease())
    if claim is None:
        return
    work = prepare(journal, claim, dump_for)
    if work is None:
        return
    send_work(journal, work, sender or sender_for(element()))


def never() -> bool:
    """Nobody wants an end."""
    return False


@sensitive_variables()
def send_work(
    journal: Journal,
    work: Work,
    sender: Sender,
    announce: Announce = results.settle,
    stopping: Stopping = never,
) -> None:
    """Send what a claimed batch comes to; ``announce`` is told what each flush ended.

    Once ``stopping`` says so, no more jobs are started, and the rest of the batch is handed back.
    """
    _Run(journal, work, sender, announce, stopping).run()


class _Run:
    """One claimed batch on its way: sent, flushed by count and time, its lease kept alive."""

    def __init__(
        self, journal: Journal, work: Work, send: Sender, announce: Announce, stopping: Stopping
    ) -> None:
        self._journal = journal
        self._work = work
        self._ring = work.claim.ring
        self._send = send
        self._announce = announce
        self._stopping = stopping
        self._watcher = watcher_of(element().kind)
        self._unwritten: list[Settled] = list(work.settled)
        self._responses: list[Sent] = []
        self._flushed_at = time.monotonic()

    def run(self) -> None:
        """Send every job; a lost claim ends it, whoever has the batch now does the rest.

        Whatever else ends it, what was sent is written down, so that it is not sent again.
        """
        try:
            for sent in self._send(self._startable()):
                self._note(sent)
                late = time.monotonic() - self._flushed_at >= FLUSH_EVERY
                if (late or len(self._unwritten) >= FLUSH_SIZE) and not self._flush(done=False):
                    return
        except BaseException:
            if self._unwritten:
                self._flush(done=False)
            raise
        if self._flush(done=self._complete) and not self._complete:
            self._journal.hand_back([self._ring])

    def _note(self, sent: Sent) -> None:
        self._unwritten.append(sent.job.settle(sent.outcome))
        if self._watcher is not None and sent.response is not None:
            self._responses.append(sent)

    def _startable(self) -> Iterator[Job]:
        """The jobs, as long as the claim is ours and nobody wants an end."""
        self._complete = False
        for job in self._work.jobs:
            if self._stopping() or not self._work.lease.keep():
                return
            yield job
        self._complete = True

    def _flush(self, *, done: bool) -> bool:
        settled = self._unwritten
        flushed = self._journal.flush(self._ring, settled, done=done)
        self._unwritten = []
        self._flushed_at = time.monotonic()
        responses, self._responses = self._responses, []
        if flushed.fenced:
            logger.warning("Batch %s was claimed by somebody else meanwhile", self._ring.batch_id)
            return False
        telemetry().settled(settled)
        for sent in responses:
            if self._watcher is not None and sent.response is not None:
                run_after_deliver(self._watcher, sent.response)
        self._announce(self._journal, flushed)
        return True
