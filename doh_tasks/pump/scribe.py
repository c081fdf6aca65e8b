"""The thread that writes: outcomes by count and time, leases as long as work goes on.

It has its own database connection, and a database that is away holds it up, never the transfers.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from django.db import InterfaceError, OperationalError, connections

from doh.dispatch import Job
from doh.exceptions import stack_of
from doh.journal import Flushed, Journal, Settled
from doh.telemetry import telemetry
from doh.types import Answer, Deferred, Failure
from doh.wire.outcome import judge
from doh_tasks.pump.flight import Flight, Seen

logger = logging.getLogger(__name__)

#: Outcomes of a flight that are written at once, and seconds that the first of them may wait.
FLUSH_SIZE: Final = 500
FLUSH_EVERY: Final = 0.5
#: The same while somebody waits for room, which outcomes take up until they are written.
FLUSH_SOON: Final = 0.1
#: Seconds between looks at the flights, and before a database that failed is asked again.
TICK: Final = 0.25
PAUSE: Final = 1.0

#: What happened to a flight: a job landed with a reply, or (None) so many were cut.
_News = tuple[Flight, Job | None, Answer | Failure | Deferred | int]


class Scribe:
    """Writes what lands.

    ``flushed`` is told what each flush ended; ``written`` how many pairs of a flight are no
    longer in our hands, with the answers that the project wants to see. ``crowded`` says whether
    somebody waits for room.
    """

    def __init__(
        self,
        flushed: Callable[[Journal, Flushed], None],
        written: Callable[[Flight, int, list[Seen]], None],
        crowded: Callable[[], bool],
    ) -> None:
        self._flushed = flushed
        self._written = written
        self._crowded = crowded
        self._news: deque[_News | None] = deque()
        self._bell = threading.Event()
        self._flights: dict[int, Flight] = {}
        self._paused_until = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="doh-scribe", daemon=True)
        self._thread.start()

    # From any thread

    def expect(self, flight: Flight) -> None:
        """Look after a flight from now on."""
        self._tell((flight, None, 0))

    def landed(self, flight: Flight, job: Job, reply: Answer | Failure | Deferred) -> None:
        """A job has its answer, or the reason why there is none or why it was not started.

        Only the last of a flight wakes the scribe: until then the two threads would take turns at
        the interpreter lock for nothing.
        """
        self._news.append((flight, job, reply))
        self._counted(flight, 1)

    def cut(self, flight: Flight, left: int) -> None:
        """So many jobs of a flight were never started, and won't be."""
        self._news.append((flight, None, left))
        self._counted(flight, left)

    def hurry(self) -> None:
        """Look whether there is something to write: it is crowded."""
        self._bell.set()

    def stop(self, patience: float) -> None:
        """Write what has landed and hand every open batch back; at most so many seconds."""
        self._tell(None)
        self._thread.join(patience)

    def _counted(self, flight: Flight, number: int) -> None:
        flight.flying -= number
        if flight.flying == 0:
            self._bell.set()

    def _tell(self, news: _News | None) -> None:
        self._news.append(news)
        self._bell.set()

    # In the scribe's thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._hear()
                for flight in list(self._flights.values()):
                    self._attend(flight, self._look_after)
            for flight in list(self._flights.values()):
                self._attend(flight, self._hand_back)
        finally:
            connections.close_all()

    def _hear(self) -> None:
        """Wait for news, and take it in; with nothing in the air nobody needs a look at a time."""
        self._bell.wait(self._patience())
        self._bell.clear()
        while self._news:
            self._take(self._news.popleft())

    def _patience(self) -> float | None:
        if not (self._flights or self._news):
            return None
        return FLUSH_SOON / 2 if self._crowded() else TICK

    def _take(self, news: _News | None) -> None:
        if news is None:
            self._stopping = True
            return
        flight, job, reply = news
        self._flights.setdefault(id(flight), flight)
        if isinstance(reply, int):
            flight.missing -= reply
            flight.cut_short = flight.cut_short or reply > 0
        elif job is not None:
            self._note(flight, job, reply)

    def _note(self, flight: Flight, job: Job, reply: Answer | Failure | Deferred) -> None:
        if not flight.unwritten:
            flight.oldest = time.monotonic()
        flight.missing -= 1
        flight.unwritten.append(_settled(job, reply))
        if flight.watcher is not None and isinstance(reply, Answer):
            flight.seen.append(Seen(job.target, reply))

    def _look_after(self, flight: Flight) -> None:
        """Write what is complete, many or old; prolong the lease once a third of it is used up."""
        now = time.monotonic()
        many = len(flight.unwritten) >= FLUSH_SIZE
        age = FLUSH_SOON if self._crowded() else FLUSH_EVERY
        old = bool(flight.unwritten) and flight.oldest <= now - age
        if flight.missing == 0 or many or old:
            self._flush(flight)
        elif not flight.lost:
            flight.lost = not flight.lease.keep()

    def _flush(self, flight: Flight) -> None:
        landed = flight.missing == 0
        done = landed and not flight.cut_short
        if not flight.lost and (flight.unwritten or done):
            found = flight.journal.flush(flight.ring, flight.unwritten, done=done)
            flight.lost = found.fenced
            if not found.fenced:
                telemetry().settled(flight.unwritten)
            self._flushed(flight.journal, found)
        number, flight.unwritten = len(flight.unwritten), []
        seen, flight.seen = flight.seen, []
        if flight.lost:
            logger.warning("Batch %s was claimed by somebody else meanwhile", flight.ring.batch_id)
            seen = []
        if landed:
            number = flight.size
            del self._flights[id(flight)]
            if flight.cut_short and not flight.lost:
                flight.journal.hand_back([flight.ring])
            flight.done.set()
        flight.size -= number
        self._written(flight, number, seen)

    def _hand_back(self, flight: Flight) -> None:
        """Write what landed, and let others have the rest at once."""
        flight.cut_short = flight.cut_short or flight.missing > 0
        flight.missing = 0
        self._flush(flight)

    def _attend(self, flight: Flight, step: Callable[[Flight], None]) -> None:
        """Run a step for a flight; a database that is away is asked again later, from memory.

        Whatever else fails costs this one flight: what is not written is owed, and is found by
        the sweep once the lease is over.
        """
        if time.monotonic() < self._paused_until:
            return
        try:
            step(flight)
        except (OperationalError, InterfaceError) as error:
            logger.warning("The ledger can't be written (%s); trying again", type(error).__name__)
            self._paused_until = time.monotonic() + PAUSE
            connections.close_all()
        except Exception as error:  # noqa: BLE001 - whatever a database or a driver may say
            batch = flight.ring.batch_id
            logger.error("Batch %s could not be written: %s", batch, stack_of(error))
            flight.lost = True


def _settled(job: Job, reply: Answer | Failure | Deferred) -> Settled:
    if isinstance(reply, Deferred):
        return job.defer(reply)
    return job.settle(judge(reply, job.place.endpoint, job.hook.drift))
