"""The thread that drives libcurl: hundreds of transfers over one selector."""

import logging
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import pycurl

from doh.dispatch import Job
from doh.exceptions import stack_of
from doh.types import Answer, Deferred, Failure
from doh_tasks.limits import BUSY
from doh_tasks.pump.flight import Flight
from doh_tasks.pump.names import Names, Resolved
from doh_tasks.pump.runway import Left, Ready, Runway
from doh_tasks.pump.sockets import Sockets
from doh_tasks.pump.transfer import (
    Limits,
    Line,
    read_answer,
    read_failure,
)

logger = logging.getLogger(__name__)

_UNMADE: Final = "the request could not be made"
#: Seconds that the loop sleeps at most; it is woken for everything that matters.
_NAP: Final = 1.0
_IDLE_LINES: Final = 256
#: Transfers started between two looks at the sockets: as many as landed and so many more, up to
#: a most; then the receivers have so many seconds to answer. So quick ones get few connections,
#: which are warm, and slow ones many, soon.
_AHEAD: Final = 8
_BURST: Final = 32
_GLANCE: Final = 0.001
#: Seconds after which a job is tried again whose host did not keep up.
_COME_BACK: Final = (5.0, 10.0)


class Tower(Protocol):
    """Who is told, in the loop's thread, how transfers end."""

    def landed(self, flight: Flight, job: Job, reply: Answer | Failure | Deferred) -> None:
        """A job has its answer, or the reason why there is none or why it was not started."""

    def cut(self, flight: Flight, left: int) -> None:
        """So many jobs of a flight were never started, and won't be."""


class Loop:
    """Starts transfers, drives them, and reports each one's end."""

    def __init__(self, limits: Limits, capacity: int, tower: Tower) -> None:
        self._limits = limits
        self._capacity = capacity
        self._tower = tower
        patience = min(limits.connect_timeout, limits.total_timeout)
        self._names = Names(limits.policy, patience, self._order)
        self._orders: deque[Callable[[], None]] = deque()
        self._runway = Runway(limits.per_host)
        self._resolving = 0
        self._air: dict[pycurl.Curl, tuple[Ready, Line]] = {}
        self._idle: list[Line] = []
        #: More may start; it waits for a look at the sockets only.
        self._eager = False
        #: Transfers that ended since some were started.
        self._landed = 0
        self._stopped = False
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._sockets = Sockets(self._selector)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, capacity)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.on_change)
        self._thread = threading.Thread(target=self._run, name="doh-pump", daemon=True)
        self._thread.start()

    # From any thread

    def launch(self, flight: Flight) -> None:
        """Start the jobs of a flight as places get free."""
        self._order(lambda: self._runway.line_up(flight))

    def ground(self) -> None:
        """Start nothing more: what waits is left, what is in the air lands."""
        self._order(self._cut_waiting)

    def stop(self) -> None:
        """End the thread; what is still in the air is dropped without a report."""
        self._order(self._set_stopped)
        self._thread.join(5)

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        with suppress(OSError):  # It is ringing already, or the thread has ended meanwhile.
            self._bell.send(b"!")

    # In the loop's thread

    def _run(self) -> None:
        while not self._stopped:
            self._turn()
        for line in [*(line for _, line in self._air.values()), *self._idle]:
            line.handle.close()
        self._multi.close()
        self._selector.close()
        self._bell.close()
        self._ear.close()

    def _turn(self) -> None:
        for key, mask in self._selector.select(self._patience()):
            if key.fileobj is self._ear:
                self._hear()
            elif self._sockets.is_wanted(key.fd):
                self._multi.socket_action(key.fd, mask)
        self._reap()
        self._names.expire()
        while self._orders:
            self._orders.popleft()()
        self._start()
        # Asked once a turn: to be told of each change would take a call for each POST, and more.
        if self._multi.timeout() == 0:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._reap()

    def _patience(self) -> float:
        if self._orders or self._landed:
            return 0
        naps = [_GLANCE if self._eager else _NAP]
        milliseconds = self._multi.timeout()
        if milliseconds >= 0:
            naps.append(milliseconds / 1000)
        alarms = (self._runway.wake_at(), self._names.wake_at())
        naps += [max(0.0, when - time.monotonic()) for when in alarms if when is not None]
        return min(naps)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass

    def _start(self) -> None:
        """Start some of the jobs for which there are places."""
        now = time.monotonic()
        self._eager = False
        room = self._capacity - len(self._air) - self._resolving
        burst = min(_BURST, self._landed + _AHEAD)
        self._landed = 0
        for _ in range(min(burst, room)):
            found = self._runway.next(now)
            if found is None:
                break
            if isinstance(found, Left):
                self._tower.cut(*found)
            else:
                self._resolve(found)
        else:
            self._eager = room > burst
        for ready in self._runway.stuck(now):
            busy = Deferred(BUSY, random.uniform(*_COME_BACK))
            self._tower.landed(ready.flight, ready.job, busy)

    def _resolve(self, ready: Ready) -> None:
        place = ready.job.place
        refusal = self._limits.policy.refusal(place)
        if refusal is not None:
            self._land(ready, Failure(refusal, blocked=True))
            return
        known = self._names.known(place.host, place.port)
        if known is not None:
            self._take_off(ready, known)
            return
        self._resolving += 1
        asked = time.monotonic()

        def resolved(found: Resolved) -> None:
            self._resolving -= 1
            self._take_off(ready, found, time.monotonic() - asked)

        self._names.look_up(place.host, place.port, resolved)

    def _take_off(self, ready: Ready, addresses: Resolved, spent: float = 0.0) -> None:
        """Start a transfer; the seconds spent on the look-up come off its time."""
        if isinstance(addresses, Failure):
            self._land(ready, addresses)
            return
        line = self._idle.pop() if self._idle else Line(self._limits, self._sockets.forget)
        try:
            line.load(ready.job.request(), addresses, self._limits.less(spent))
            self._multi.add_handle(line.handle)
        except Exception as error:  # noqa: BLE001 - it costs one POST, and not the thread
            line.handle.close()
            told = isinstance(error, pycurl.error | UnicodeError)
            if not told:
                logger.error("A request could not be made: %s", stack_of(error))
            self._land(ready, Failure(f"{_UNMADE}: {error}" if told else _UNMADE))
            return
        self._air[line.handle] = ready, line

    def _reap(self) -> None:
        """Take every transfer that ended out of the air."""
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in good:
                self._ended(handle, 0)
            for handle, code, _message in bad:
                self._ended(handle, code)

    def _ended(self, handle: pycurl.Curl, code: int) -> None:
        ready, line = self._air.pop(handle)
        if code == 0 or (code == pycurl.E_WRITE_ERROR and line.full):
            reply = read_answer(line, whole=ready.flight.watcher is not None)
        else:
            reply = read_failure(line, code, self._limits)
        self._multi.remove_handle(handle)
        if len(self._idle) < _IDLE_LINES:
            self._idle.append(line)
        else:
            handle.close()
        self._land(ready, reply)

    def _land(self, ready: Ready, reply: Answer | Failure) -> None:
        self._landed += 1
        self._runway.landed(ready.job.place.endpoint, time.monotonic())
        self._tower.landed(ready.flight, ready.job, reply)

    def _cut_waiting(self) -> None:
        """Leave the jobs that did not start to whoever claims the rest of their batches."""
        for left in self._runway.clear():
            self._tower.cut(*left)

    def _set_stopped(self) -> None:
        self._stopped = True
