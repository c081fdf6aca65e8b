"""Reporting: what a flush says of hosts, told to all workers in one call, off the hot path."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from doh import conf
from doh.journal import Settled
from doh.limits import CircuitBreaker
from doh.types import Outcome, Verdict
from doh_tasks.limits.store import BARRED, SLOW, VERSION, WATCHED, host_key, micro, store

#: The detail of a deferral by the pump: POSTs to the host pile up.
BUSY: Final = "the host does not keep up"
#: Seconds that a worker with something to send goes by what it knows of the hosts.
FRESH: Final = 1.0
#: Seconds after which it asks before it sends, since it was idle.
STALE: Final = 5.0
_TALLIED_HOSTS: Final = 100_000
#: The guard refused the address: that says nothing of the host.
_UNHEARD: Final = Verdict.BLOCKED
_ASKS_FOR_A_PAUSE: Final = (429, 503)


@dataclass(slots=True)
class View:
    """What this process knows of the hosts that stand out; replaced as a whole by each report."""

    version: int = -1
    watched: frozenset[str] = frozenset()
    barred: frozenset[str] = frozenset()
    slow: frozenset[str] = frozenset()
    seen_at: float = float("-inf")

    @property
    def age(self) -> float:
        """Seconds since it was last confirmed."""
        return time.monotonic() - self.seen_at

    @property
    def is_stale(self) -> bool:
        """Whether it is too old to send by."""
        return self.age > STALE

    @property
    def known(self) -> frozenset[str]:
        """The hosts that stand out."""
        return self.watched | self.barred | self.slow

    def take(self, answer: Sequence[Any]) -> None:
        """Take in what a report came back with."""
        self.seen_at = time.monotonic()
        if len(answer) > 1:
            names = [frozenset(name.decode() for name in part) for part in answer[1:]]
            self.watched, self.barred, self.slow = names
        self.version = answer[0]


@dataclass(slots=True)
class _Seen:
    """What one flush saw of a host."""

    good: int = 0
    bad: int = 0
    row: int = 0
    elapsed: float = 0.0
    quiet: float = 0.0
    busy: bool = False

    def take(self, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.DEFERRED:
            self.busy = True
            return
        self.elapsed += outcome.elapsed
        if outcome.status_code in _ASKS_FOR_A_PAUSE:
            self.quiet = max(self.quiet, outcome.retry_after or 0.0)
        if is_failure(outcome):
            self.bad += 1
            self.row += 1
        else:
            self.good += 1
            self.row = 0

    @property
    def latency(self) -> float:
        """Mean time to an answer."""
        return self.elapsed / max(1, self.good + self.bad)

    def stands_out(self, slow: float) -> bool:
        """Whether others must hear of it."""
        return bool(self.bad or self.quiet or self.busy) or self.latency > slow


@dataclass(slots=True)
class _Tally:
    """Answers of hosts that nobody watches, kept for the moment at which one begins to fail."""

    good: Counter[str] = field(default_factory=Counter)
    since: float = 0.0

    def add(self, hosts: Iterable[str]) -> None:
        """Count one answer of each; what is older than the breaker's window is forgotten."""
        now = time.monotonic()
        if now - self.since > _window() or len(self.good) > _TALLIED_HOSTS:
            self.good.clear()
            self.since = now
        self.good.update(hosts)


view = View()
_tally = _Tally()
_lock = threading.Lock()


def report(written: Iterable[Settled]) -> None:
    """Tell of the outcomes of a flush.

    Silent, or one call a second to see what others told, while nothing stands out.
    """
    if not store.is_reachable():
        return
    with _lock:
        told = _told([one.outcome for one in written])
        if told or view.age > FRESH:
            _tell(told)


def refresh_view() -> None:
    """See what others told, after a while without anything to send."""
    if view.is_stale and store.is_reachable():
        with _lock:
            if view.is_stale:
                _tell({})


def slow_hosts() -> frozenset[str]:
    """The hosts that belong on the slow lane, as all workers see it now."""
    with _lock:
        _tell({})
    return view.slow


def is_failure(outcome: Outcome) -> bool:
    """Whether an outcome speaks against the host, rather than against one hook of it."""
    if outcome.status_code is None:
        return outcome.verdict is Verdict.RETRY
    return outcome.status_code >= 500 or outcome.status_code in (408, 429)


def _told(outcomes: Sequence[Outcome]) -> dict[str, _Seen]:
    """What must be told of the hosts that stand out; the answers of all others are tallied.

    Nearly all hosts are well nearly always: they cost one look each.
    """
    known, slow = view.known, conf.slow_after()
    odd = {
        one.host
        for one in outcomes
        if not one.status_code or one.status_code >= 400 or one.elapsed > slow or one.host in known
    }
    _tally.add(one.host for one in outcomes if one.host not in odd)
    found = _seen(one for one in outcomes if one.host in odd)
    told = {}
    for host, one in found.items():
        _tally.good[host] += one.good
        if host in known or one.stands_out(slow):
            told[host] = one
    return told


def _seen(outcomes: Iterable[Outcome]) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    for one in outcomes:
        if one.host and one.verdict is not _UNHEARD and (one.attempted or one.detail == BUSY):
            found.setdefault(one.host, _Seen()).take(one)
    return found


def _tell(told: dict[str, _Seen]) -> None:
    breaker = conf.circuit_breaker()
    asked = {
        "known": view.version,
        "breaker": None if breaker is None else _rules(breaker),
        "slow": micro(conf.slow_after()),
        "hosts": list(_rows(told)),
    }
    keys = [VERSION, WATCHED, BARRED, SLOW, *map(host_key, told)]
    answer = store.run("report.lua", keys, asked)
    if answer is not None:
        view.take(answer)


def _rows(told: dict[str, _Seen]) -> Iterator[list[Any]]:
    for host, one in told.items():
        good = _tally.good.pop(host, 0)
        yield [
            host,
            good,
            one.bad,
            one.row,
            int(one.good > 0),
            micro(one.latency),
            micro(one.quiet),
            int(one.busy),
        ]


def _rules(breaker: CircuitBreaker) -> dict[str, float]:
    return {
        "failures": breaker.failures,
        "share": breaker.share,
        "least": breaker.least,
        "window": micro(breaker.window),
        "pause": micro(breaker.pause),
        "longest": micro(breaker.longest_pause),
    }


def _window() -> float:
    breaker = conf.circuit_breaker()
    return 0.0 if breaker is None else breaker.window
