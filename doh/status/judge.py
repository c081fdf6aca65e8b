"""From what was read to a verdict that a monitoring system understands."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from doh.status.broker import Broker
from doh.status.ledger import Vitals


class Level(IntEnum):
    """As monitoring plug-ins exit."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds from which something is a warning, and critical.

    ``age`` is how long what is owed may wait before somebody takes it up; ``sweep`` how long ago
    the last sweep may have been.
    """

    warn_age: float = 60.0
    crit_age: float = 600.0
    warn_sweep: float = 30.0
    crit_sweep: float = 120.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    level: Level
    text: str


def judge(vitals: Vitals, limits: Limits, broker: Broker | None = None) -> list[Finding]:
    """What is wrong, the worst first; nothing where all is well."""
    findings = [*_late(vitals, limits), *_unswept(vitals, limits), *_silent(broker)]
    return sorted(findings, key=lambda one: -one.level)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the whole."""
    return max((one.level for one in findings), default=Level.OK)


def _late(vitals: Vitals, limits: Limits) -> Iterator[Finding]:
    for name, age in (
        ("event has been due", vitals.event),
        ("batch has been there", vitals.batch),
        ("delivery has been due", vitals.delivery),
    ):
        level = _level(age, limits.warn_age, limits.crit_age)
        if level:
            yield Finding(level, f"the oldest {name} for {age:.0f} s")


def _unswept(vitals: Vitals, limits: Limits) -> Iterator[Finding]:
    if vitals.sweep is None:
        yield Finding(Level.WARNING, "nobody has ever swept: run beat and a worker, or doh_work")
        return
    level = _level(vitals.sweep, limits.warn_sweep, limits.crit_sweep)
    if level:
        yield Finding(level, f"the last sweep began {vitals.sweep:.0f} s ago")


def _silent(broker: Broker | None) -> Iterator[Finding]:
    if broker is not None and broker.error:
        yield Finding(Level.CRITICAL, f"the broker does not answer ({broker.error})")


def _level(seconds: float | None, warning: float, critical: float) -> Level:
    if seconds is None or seconds < min(warning, critical):
        return Level.OK
    return Level.CRITICAL if seconds >= critical else Level.WARNING
