"""The pump: takes prepared batches in, and sees to it that every job ends and is written."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from doh import conf, egress
from doh.deliverers.kinds import ElementDeliverer
from doh.deliverers.sending import run_after_deliver
from doh.dispatch import Work
from doh.journal import Flushed, Journal
from doh_tasks.pump.files import fitting
from doh_tasks.pump.flight import Flight, Seen
from doh_tasks.pump.loop import Loop
from doh_tasks.pump.responses import build_response
from doh_tasks.pump.scribe import Scribe
from doh_tasks.pump.transfer import Limits


class Pump:
    """One loop, one scribe, and the room between them.

    ``flushed`` is told, in the scribe's thread, what each flush ended.
    """

    def __init__(self, flushed: Callable[[Journal, Flushed], None]) -> None:
        self._room = threading.Condition()
        self._outstanding = 0
        self._waiting = 0
        self._capacity = fitting(conf.max_in_flight())
        self._scribe = Scribe(flushed, self._on_written, self._is_crowded)
        self._loop = Loop(_limits(), self._capacity, self._scribe)
        # The project's code runs beside the pump: however slow, it delays no outcome.
        self._after = ThreadPoolExecutor(1, thread_name_prefix="doh-after")

    def wait_for_room(self, timeout: float | None = None) -> bool:
        """Wait until fewer pairs are under way than ``HOOK_MAX_IN_FLIGHT``.

        Those that are held until their slot take no room from others.
        """
        with self._room:
            if self._has_room() or timeout == 0:
                return self._has_room()
            self._waiting += 1
            self._scribe.hurry()
            try:
                return self._room.wait_for(self._has_room, timeout)
            finally:
                self._waiting -= 1

    def submit(
        self, journal: Journal, work: Work, watcher: type[ElementDeliverer] | None
    ) -> Flight:
        """Send a batch; its ``done`` event is set when nothing more will be written for it."""
        flight = Flight.of(journal, work, watcher)
        with self._room:
            self._outstanding += flight.places
        self._scribe.expect(flight)
        if flight.jobs:
            self._loop.launch(flight)
        return flight

    def stop(self, grace: float) -> None:
        """Start nothing more, let what is in the air land for so many seconds, write, hand back."""
        deadline = time.monotonic() + grace
        self._loop.ground()
        with self._room:
            self._room.wait_for(lambda: self._outstanding == 0, grace)
        self._loop.stop()
        self._scribe.stop(max(5.0, deadline - time.monotonic()))
        self._after.shutdown(wait=True)

    def _has_room(self) -> bool:
        return self._outstanding < self._capacity

    def _is_crowded(self) -> bool:
        return self._waiting > 0

    def _on_written(self, flight: Flight, number: int, seen: list[Seen]) -> None:
        if flight.watcher is not None:
            for one in seen:
                self._after.submit(run_after_deliver, flight.watcher, build_response(one))
        with self._room:
            freed = min(number, flight.places)
            flight.places -= freed
            self._outstanding -= freed
            self._room.notify_all()


def _limits() -> Limits:
    return Limits(
        connect_timeout=conf.connect_timeout(),
        total_timeout=conf.total_timeout(),
        ca_bundle=conf.ca_bundle(),
        policy=egress.policy(),
        per_host=conf.max_in_flight_per_host(),
    )
