"""What the pump knows of host names: a short cache of judged answers, and who waits for one."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from doh.exceptions import AddressRefusedError
from doh.types import Failure
from doh.wire.guard import REFUSED, Policy, numeric
from doh.wire.lookups import Found, lookups

#: Seconds that an answer is used for, and a failure.
KEEP: Final = 30.0
KEEP_FAILURE: Final = 5.0
_CACHED_NAMES: Final = 50_000
_UNKNOWN: Final = "the target's host name can't be resolved"

#: Addresses to dial, or why there are none; none at all where a proxy dials.
Resolved = Found | Failure
Answer = Callable[[Resolved], None]


class Names:
    """Name look-ups for one pump, each answered within ``patience`` seconds.

    Used from the loop's thread alone; ``order`` is how another thread gets something done there.
    """

    def __init__(
        self,
        policy: Policy,
        patience: float,
        order: Callable[[Callable[[], None]], None],
    ) -> None:
        self._policy = policy
        self._patience = patience
        self._order = order
        self._cache: dict[tuple[str, int], tuple[float, Resolved]] = {}
        # In the order of asking, which is that of the deadlines.
        self._waiting: dict[tuple[str, int], tuple[float, list[Answer]]] = {}

    def known(self, host: str, port: int) -> Resolved | None:
        """What is known of a host now; None if it must be looked up."""
        if self._policy.proxy is not None:
            return ()
        cached = self._cache.get((host, port))
        if cached is not None and cached[0] > time.monotonic():
            return cached[1]
        literal = numeric(host, port)
        if literal is None:
            return None
        return self._keep((host, port), self._judge((literal,)))

    def look_up(self, host: str, port: int, answer: Answer) -> None:
        """Resolve a name and call ``answer``; look-ups of one name are made once."""
        place = (host, port)
        if place in self._waiting:
            self._waiting[place][1].append(answer)
            return
        self._waiting[place] = (time.monotonic() + self._patience, [answer])
        lookups().ask(host, port).add_done_callback(
            lambda done: self._order(lambda: self._settle(place, self._read(done)))
        )

    def wake_at(self) -> float | None:
        """When somebody will have waited long enough; None if nobody waits."""
        for deadline, _ in self._waiting.values():
            return deadline
        return None

    def expire(self) -> None:
        """Answer those that have waited long enough: the name can't be resolved in time."""
        now = time.monotonic()
        while (deadline := self.wake_at()) is not None and deadline <= now:
            self._settle(next(iter(self._waiting)), Failure(_UNKNOWN))

    def _read(self, done: "Future[Found]") -> Resolved:
        return Failure(_UNKNOWN) if done.exception() else self._judge(done.result())

    def _judge(self, found: Found) -> Resolved:
        try:
            return self._policy.judge(found)
        except AddressRefusedError:
            return Failure(REFUSED, blocked=True)

    def _settle(self, place: tuple[str, int], found: Resolved) -> None:
        self._keep(place, found)
        _, answers = self._waiting.pop(place, (0, []))
        for answer in answers:
            answer(found)

    def _keep(self, place: tuple[str, int], found: Resolved) -> Resolved:
        if len(self._cache) >= _CACHED_NAMES:
            self._cache.clear()
        seconds = KEEP_FAILURE if isinstance(found, Failure) else KEEP
        self._cache[place] = (time.monotonic() + seconds, found)
        return found
