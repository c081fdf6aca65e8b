"""Look host names up in a bounded pool of threads, so that each answer can have a deadline.

``getaddrinfo`` can't be interrupted: an attacker's name server that never answers holds a thread
for as long as libc is patient. Whoever asked is told in time all the same, and names that were
slow before share a few threads of their own.
"""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from typing import Final

from doh.wire.guard import Address

#: Look-ups under way at most, in threads that are started as they are needed.
THREADS: Final = 64
#: How many of them a name may wait for that took longer than `SLOW` seconds the last time.
SLOW_THREADS: Final = 8
SLOW: Final = 1.0
#: Seconds after which a thread without work ends.
_IDLE: Final = 10.0
_REMEMBERED: Final = 10_000

Found = tuple[Address, ...]
#: A host and a port.
Place = tuple[str, int]


def look_up_now(host: str, port: int) -> Found:
    """Every address of a name, in the order to try them; raises OSError where it has none."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = [Address(family, str(where[0]), port) for family, _, _, _, where in answers]
    return tuple(dict.fromkeys(found))


class Lookups:
    """Makes look-ups; those of one name at one time are one."""

    def __init__(self, look_up: Callable[[str, int], Found] = look_up_now) -> None:
        self._look_up = look_up
        self._changed = threading.Condition()
        self._asked: dict[Place, Future[Found]] = {}
        self._fast: deque[Place] = deque()
        self._slow: deque[Place] = deque()
        self._was_slow: dict[str, None] = {}
        self._threads = self._busy = self._busy_slow = 0

    def ask(self, host: str, port: int) -> "Future[Found]":
        """The answer to come; it may take longer than anybody should wait for it."""
        place = (host, port)
        with self._changed:
            asked = self._asked.get(place)
            if asked is None:
                asked = self._asked[place] = Future()
                (self._slow if host in self._was_slow else self._fast).append(place)
                self._employ()
        return asked

    def _employ(self) -> None:
        """Have a thread for what can be looked up now: one that is free, or a new one."""
        if self._ready() > self._threads - self._busy and self._threads < THREADS:
            self._threads += 1
            threading.Thread(target=self._work, name="doh-lookup", daemon=True).start()
        self._changed.notify()

    def _ready(self) -> int:
        return len(self._fast) + min(len(self._slow), SLOW_THREADS - self._busy_slow)

    def _work(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """Look one name up; False, and one thread fewer, after a while without any."""
        with self._changed:
            if not self._changed.wait_for(self._ready, _IDLE):
                self._threads -= 1
                return False
            is_slow = not self._fast
            place = (self._slow if is_slow else self._fast).popleft()
            self._busy += 1
            self._busy_slow += is_slow
        started = time.monotonic()
        found = self._find(place)
        with self._changed:
            self._busy -= 1
            self._busy_slow -= is_slow
            self._remember(place[0], time.monotonic() - started)
            asked = self._asked.pop(place)
            self._changed.notify()
        if isinstance(found, Exception):
            asked.set_exception(found)
        else:
            asked.set_result(found)
        return True

    def _find(self, place: Place) -> Found | Exception:
        try:
            return self._look_up(*place)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            return error

    def _remember(self, host: str, seconds: float) -> None:
        self._was_slow.pop(host, None)
        if seconds > SLOW:
            self._was_slow[host] = None
            if len(self._was_slow) > _REMEMBERED:
                self._was_slow.pop(next(iter(self._was_slow)))


def lookups() -> Lookups:
    """Those of this process; after a fork, the parent's threads are gone."""
    return _lookups(os.getpid())


@lru_cache(maxsize=1)
def _lookups(_process: int) -> Lookups:
    return Lookups()
