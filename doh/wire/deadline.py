"""Cut a connection off when its time is over, whatever its peer keeps dripping.

The socket timeouts of ``requests`` bound the wait for each piece, never the whole.
"""

import heapq
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import count
from typing import Final


class Watch:
    """One request's deadline and the socket it runs on."""

    def __init__(self) -> None:
        self.expired = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def hold(self, sock: socket.socket) -> None:
        """Keep a second descriptor of the socket: TLS detaches the one it wraps."""
        twin = socket.socket(fileno=os.dup(sock.fileno()))
        with self._lock:
            self._release()
            self._socket = twin
            if self.expired:
                self._cut()

    def expire(self) -> None:
        """Shut the socket down, which ends whatever the request is waiting for."""
        with self._lock:
            self.expired = True
            self._cut()

    def release(self) -> None:
        """Let go of the socket; the request is over."""
        with self._lock:
            self._release()

    def _cut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_current: ContextVar[Watch | None] = ContextVar("doh_watch", default=None)


def watched(sock: socket.socket) -> None:
    """Tell the running request's watch, if there is one, which socket it uses."""
    watch = _current.get()
    if watch is not None:
        watch.hold(sock)


class Watchdog:
    """A thread that expires watches; started with the first of them, and anew after a fork."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watch]] = []
        self._changed = threading.Condition()
        self._numbers = count()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, seconds: float) -> Iterator[Watch]:
        """Watch the request made inside; after so many seconds its socket is shut down."""
        watch = Watch()
        entry = (time.monotonic() + seconds, next(self._numbers), watch)
        with self._changed:
            heapq.heappush(self._heap, entry)
            self._ensure_thread()
            if self._heap[0] is entry:
                self._changed.notify()
        token = _current.set(watch)
        try:
            yield watch
        finally:
            _current.reset(token)
            watch.release()
            with self._changed, suppress(ValueError):
                self._heap.remove(entry)
                heapq.heapify(self._heap)

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="doh-watchdog", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        with self._changed:
            while True:
                if not self._heap:
                    self._changed.wait()
                    continue
                when, _, watch = self._heap[0]
                left = when - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                heapq.heappop(self._heap)
                watch.expire()


#: The watchdog of this process: one thread, however many requests there are.
watchdog: Final = Watchdog()
