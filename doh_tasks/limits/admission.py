"""Admission: which POSTs of a batch may be made now, asked for all of them in one call."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from doh import conf
from doh.dispatch import Job, Work
from doh.limits import Rate, RateLimit, parse_rate
from doh.retry import longest_deferral
from doh.types import Deferred
from doh_tasks.limits.reporting import refresh_view, view
from doh_tasks.limits.store import MICROSECONDS, host_key, micro, rate_key, store

#: Seconds that a POST may be held back in the pump until its slot; longer waits are deferrals,
#: which come back this much early: the sweep looks for them every four seconds.
HOLD: Final = 5.0
#: Seconds after its time for which a slot may still be used.
GRACE: Final = 10.0
#: A deferred pair comes back up to this share of its wait later: not all at once.
SPREAD: Final = 0.2

_SLOW: Final = Deferred("the host is slow or failing: it goes on the slow lane", 0.0)
_REASONS: Final = {
    8: "the circuit to the host is open",
    9: "the host asked for a pause",
}
_RATE: Final = "the rate limit is reached"
_BEYOND: Final = 10


def admit(work: Work, hold: float = HOLD) -> Work:
    """The same work with what must wait taken out of its jobs, and settled as deferred.

    A job whose slot is at most ``hold`` seconds away stays, and is held back until then.
    """
    limits = conf.rate_limit()
    if not any(limits):
        # One short look tells more than to ask for every pair of the batch.
        refresh_view()
    work = _off_the_fast_lane(work)
    if not (work.jobs and store.is_reachable() and _is_limited(work.jobs, limits)):
        return work
    question = _Question(hold)
    for job in work.jobs:
        question.add(job, limits)
    answer = store.run("admit.lua", question.keys, question.asked())
    return work if answer is None else _apply(work, answer, question)


def _off_the_fast_lane(work: Work) -> Work:
    """First attempts to slow hosts go to the ledger at once, and on the slow lane from there."""
    slow = view.slow - view.barred
    if not slow:
        return work
    late = [job for job in work.jobs if job.owed.first and job.place.endpoint in slow]
    if not late:
        return work
    kept = tuple(job for job in work.jobs if not (job.owed.first and job.place.endpoint in slow))
    return replace(work, jobs=kept, settled=(*work.settled, *(job.defer(_SLOW) for job in late)))


def _is_limited(jobs: Sequence[Job], limits: RateLimit) -> bool:
    """Whether anything is known or set that could keep one of these back."""
    barred = view.barred
    return any(limits) or any(job.rate or job.place.endpoint in barred for job in jobs)


def _apply(work: Work, answer: Sequence[int], question: "_Question") -> Work:
    jobs: list[Job] = []
    settled = list(work.settled)
    waits, verdicts = answer[::2], answer[1::2]
    for job, slot, wait, verdict in zip(work.jobs, question.slots, waits, verdicts, strict=True):
        if verdict == 0:
            held = max(wait / MICROSECONDS, slot)
            jobs.append(replace(job, hold=held) if held else job)
        else:
            deferred = _deferred(wait / MICROSECONDS, verdict, question.hold)
            settled.append(job.defer(deferred))
    return replace(work, jobs=tuple(jobs), settled=tuple(settled))


def _deferred(wait: float, verdict: int, hold: float) -> Deferred:
    if verdict in _REASONS:
        later = wait * random.uniform(1, 1 + SPREAD) + random.random()
        return Deferred(_REASONS[verdict], later)
    if verdict == _BEYOND:
        return Deferred(_RATE, wait)
    return Deferred(_RATE, max(0.0, wait - hold), slot=wait, granted=verdict)


def _slot_of(job: Job) -> float | None:
    """Seconds until the slot that the pair holds; None if it holds none, or let it pass."""
    waited = job.owed.waited
    if waited is None or waited.slot is None or waited.slot < -GRACE:
        return None
    return waited.slot


@dataclass(slots=True)
class _Question:
    """What ``admit.lua`` is asked: each limit and each host once, and the pairs that name them."""

    hold: float
    limits: dict[str, Rate] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    pairs: list[list[int]] = field(default_factory=list)
    slots: list[float] = field(default_factory=list)
    late: Counter[str] = field(default_factory=Counter)

    def add(self, job: Job, limits: RateLimit) -> None:
        """Ask for one job too."""
        slot = _slot_of(job)
        granted = 0 if slot is None or job.owed.waited is None else job.owed.waited.granted
        rates = {
            rate_key("hook", job.hook.pk): parse_rate(job.rate) if job.rate else None,
            rate_key("host", job.place.endpoint): limits.of_host(job.place.endpoint),
            rate_key("global"): limits.everything,
        }
        host = self.hosts.setdefault(job.place.endpoint, len(self.hosts) + 1)
        self.pairs.append([host, *(self._place(*rate) for rate in rates.items()), granted])
        self.slots.append(0.0 if slot is None else slot if slot > 0 else self._catch_up(rates))

    def _catch_up(self, rates: Mapping[str, Rate | None]) -> float:
        """When one that is late for its slot goes: in step with the others, not all at once."""
        periods = [(rate.period, key) for key, rate in rates.items() if rate is not None]
        if not periods:
            return 0.0
        period, key = max(periods)
        self.late[key] += 1
        return (self.late[key] - 1) * period

    @property
    def keys(self) -> list[str]:
        """The keys, limits first."""
        return [*self.limits, *(host_key(host) for host in self.hosts)]

    def asked(self) -> dict[str, Any]:
        """The question."""
        return {
            "hold": micro(self.hold),
            "horizon": micro(longest_deferral(conf.retry_schedule())),
            "lease": micro(conf.total_timeout() * 2),
            "limits": list(self._limits()),
            "pairs": self.pairs,
        }

    def _place(self, key: str, rate: Rate | None) -> int:
        if rate is None:
            return 0
        self.limits.setdefault(key, rate)
        return self.places.setdefault(key, len(self.places) + 1)

    def _limits(self) -> Iterator[list[int]]:
        for rate in self.limits.values():
            period = rate.period * MICROSECONDS
            yield [round(period), round(period * (rate.burst - 1))]
