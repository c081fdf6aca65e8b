"""What waits to take off: flights in turn, jobs held until their slot, jobs of crowded hosts."""

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple

from doh.dispatch import Job
from doh_tasks.pump.flight import Flight

#: A host at its cap that gave no answer for so many seconds is not waited for any longer.
STUCK: Final = 1.0


@dataclass(slots=True, eq=False)
class Ready:
    """A job that may start, and the flight it belongs to."""

    flight: Flight
    job: Job


class Left(NamedTuple):
    """So many jobs of a flight that will not be started."""

    flight: Flight
    number: int


@dataclass(slots=True)
class _Host:
    """A host that is being sent to; ``heard_at`` is its last answer, or its first POST."""

    heard_at: float
    under_way: int = 0
    parked: deque[Ready] = field(default_factory=deque)


class Runway:
    """Says what starts next, so that no host holds up another; all in the loop's thread.

    ``cap`` is how many POSTs one host may have under way. Times are monotonic seconds.
    """

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._flights: deque[Flight] = deque()
        self._held: list[tuple[float, int, Ready]] = []
        self._released: deque[Ready] = deque()
        self._hosts: dict[str, _Host] = {}
        self._crowded: set[str] = set()
        self._numbers = count()

    def line_up(self, flight: Flight) -> None:
        """Take in the jobs of a flight."""
        self._flights.append(flight)

    def next(self, now: float) -> Ready | Left | None:
        """What starts now, or is over before it started; None if nothing may."""
        while (ready := self._candidate(now)) is not None:
            if not _is_valid(ready.flight, now):
                return Left(ready.flight, 1 + _empty(ready.flight))
            if self._enter(ready, now):
                return ready
        return None

    def landed(self, endpoint: str, now: float) -> None:
        """A POST to a host ended: the next one may start."""
        host = self._hosts[endpoint]
        host.under_way -= 1
        host.heard_at = now
        if host.parked:
            self._released.append(host.parked.popleft())
        if not host.parked:
            self._crowded.discard(endpoint)
            if not host.under_way:
                del self._hosts[endpoint]

    def stuck(self, now: float) -> Iterator[Ready]:
        """The jobs that need not wait for their host: it is at its cap, and silent."""
        for endpoint in list(self._crowded):
            host = self._hosts[endpoint]
            if host.heard_at < now - STUCK:
                yield from host.parked
                host.parked.clear()
                self._crowded.discard(endpoint)

    def wake_at(self) -> float | None:
        """When the next job is held no longer."""
        return self._held[0][0] if self._held else None

    def clear(self) -> list[Left]:
        """Everything that waits, which is not to be started any more."""
        left = Counter(ready.flight for _, _, ready in self._held)
        left.update(ready.flight for ready in self._released)
        for endpoint in self._crowded:
            left.update(ready.flight for ready in self._hosts[endpoint].parked)
            self._hosts[endpoint].parked.clear()
        for flight in self._flights:
            left[flight] += _empty(flight)
        self._held.clear()
        self._released.clear()
        self._flights.clear()
        self._crowded.clear()
        return [Left(flight, number) for flight, number in left.items() if number]

    def _candidate(self, now: float) -> Ready | None:
        if self._held and self._held[0][0] <= now:
            return heapq.heappop(self._held)[2]
        if self._released:
            return self._released.popleft()
        while self._flights:
            flight = self._flights[0]
            if not flight.jobs:
                self._flights.popleft()
                continue
            ready = Ready(flight, flight.jobs.popleft())
            if not self._hold(ready, now):
                return ready
        return None

    def _hold(self, ready: Ready, now: float) -> bool:
        """Keep a job until its slot, if that is still to come."""
        if not ready.job.hold or ready.flight.began + ready.job.hold <= now:
            return False
        starts = ready.flight.began + ready.job.hold
        heapq.heappush(self._held, (starts, next(self._numbers), ready))
        return True

    def _enter(self, ready: Ready, now: float) -> bool:
        """Count a job as under way; False if its host is at its cap, where it is parked."""
        endpoint = ready.job.place.endpoint
        host = self._hosts.get(endpoint)
        if host is None:
            host = self._hosts[endpoint] = _Host(now)
        if host.under_way < self._cap:
            host.under_way += 1
            return True
        host.parked.append(ready)
        self._crowded.add(endpoint)
        return False


def _is_valid(flight: Flight, now: float) -> bool:
    return not flight.lost and now <= flight.lease.starts_until


def _empty(flight: Flight) -> int:
    number = len(flight.jobs)
    flight.jobs.clear()
    return number
