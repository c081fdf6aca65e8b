"""Resolve host names in a few threads with a short cache, and judge every address found."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final

from doh.exceptions import AddressRefusedError
from doh.types import Failure
from doh.wire.guard import Address, Policy, any_address, judge_addresses, resolve

#: Look-ups under way at most; a slow name server must not hold more threads than this.
THREADS: Final = 8
#: Seconds that an answer is used for, and a failure.
KEEP: Final = 30.0
KEEP_FAILURE: Final = 5.0
_CACHED_NAMES: Final = 50_000

#: Addresses to dial, or why there are none.
Resolved = tuple[Address, ...] | Failure


class Names:
    """Name look-ups for one pump; `look_up` may answer at once or later, from another thread."""

    def __init__(self, policy: Policy = any_address) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, int], tuple[float, Resolved]] = {}
        self._waiting: dict[tuple[str, int], list[Callable[[Resolved], None]]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="doh-names")

    def known(self, host: str, port: int) -> Resolved | None:
        """What is known of a name now; a numeric host is its own answer."""
        numeric = _numeric(host, port)
        if numeric is not None:
            return self._judged([numeric])
        cached = self._cache.get((host, port))
        if cached is not None and cached[0] > time.monotonic():
            return cached[1]
        return None

    def look_up(self, host: str, port: int, answer: Callable[[Resolved], None]) -> None:
        """Resolve a name and call ``answer``; look-ups of one name are made once."""
        key = (host, port)
        with self._lock:
            if key in self._waiting:
                self._waiting[key].append(answer)
                return
            self._waiting[key] = [answer]
        self._threads.submit(self._resolve, host, port).add_done_callback(
            lambda done: self._answer(key, done)
        )

    def close(self) -> None:
        """Start no more look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _resolve(self, host: str, port: int) -> Resolved:
        try:
            return tuple(resolve(host, port, self._policy))
        except AddressRefusedError as error:
            return Failure(str(error))
        except (OSError, UnicodeError):
            return Failure("the target's host name can't be resolved")

    def _judged(self, found: list[Address]) -> Resolved:
        try:
            return tuple(judge_addresses(found, self._policy))
        except AddressRefusedError as error:
            return Failure(str(error))

    def _answer(self, key: tuple[str, int], done: "Future[Resolved]") -> None:
        found = Failure("the worker stopped") if done.cancelled() else done.result()
        keep = KEEP_FAILURE if isinstance(found, Failure) else KEEP
        with self._lock:
            if len(self._cache) >= _CACHED_NAMES:
                self._cache.clear()
            self._cache[key] = (time.monotonic() + keep, found)
            waiting = self._waiting.pop(key, [])
        for answer in waiting:
            answer(found)


def _numeric(host: str, port: int) -> Address | None:
    try:
        version = ip_address(host).version
    except ValueError:
        return None
    return Address(socket.AF_INET if version == 4 else socket.AF_INET6, host, port)
