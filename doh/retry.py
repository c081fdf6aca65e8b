"""The retry policy: what an outcome makes of a delivery, as a value."""

import random
from collections.abc import Callable, Sequence
from typing import Final

from doh.journal.records import Owed, Settled
from doh.models import Delivery
from doh.types import SUCCEEDED, Deferred, Outcome, Verdict

#: A delay is spread by this share of itself, so that retries of one outage don't come at once.
JITTER: Final = 0.2
#: Seconds until a target that the guard refused is looked at once more: a name server may have
#: been wrong for a moment, an attacker's is not worth more than that.
BLOCKED_PAUSE: Final = 300.0

#: Seconds that a pair may be deferred at least, however short the schedule is.
DEFERRAL_FLOOR: Final = 3600.0

#: Nearly every POST's, so it is looked up once.
_WELL: Final = Delivery.Status.SUCCEEDED
_FINAL: Final = {
    Verdict.DEAD: Delivery.Status.DEAD,
    Verdict.CANCELLED: Delivery.Status.CANCELLED,
    # Nobody waits for it any more, so it is no dead letter.
    Verdict.GONE: Delivery.Status.CANCELLED,
}
#: Outcomes after which somebody may want it sent all the same: the rendered payload is kept.
_KEPT: Final = (Verdict.DEAD, Verdict.GONE)


def settle(
    owed: Owed,
    outcome: Outcome,
    schedule: Sequence[float],
    body: str | None = None,
    spread: Callable[[float, float], float] = random.uniform,
) -> Settled:
    """Settle one pair: done for good, or waiting for the next attempt of the schedule.

    ``schedule`` holds the seconds before each attempt; ``body`` is the rendered payload to keep
    for later attempts, None where the event itself holds it.
    """
    attempts = owed.attempts + outcome.attempted
    if outcome.verdict is SUCCEEDED:
        return Settled(owed, outcome, _WELL, attempts)
    if outcome.verdict is Verdict.BLOCKED:
        return _settle_blocked(owed, outcome, attempts, body)
    if outcome.verdict is not Verdict.RETRY:
        status = _FINAL[outcome.verdict]
        kept = body if outcome.verdict in _KEPT else None
        return Settled(owed, outcome, status, attempts, body=kept)
    if attempts >= len(schedule):
        return Settled(owed, outcome, Delivery.Status.DEAD, attempts, body=body)
    delay = next_delay(schedule, attempts, outcome.retry_after, spread)
    return Settled(owed, outcome, Delivery.Status.WAITING, attempts, delay, body)


def _settle_blocked(owed: Owed, outcome: Outcome, attempts: int, body: str | None) -> Settled:
    """Once more after a pause, whatever the schedule says; then a dead letter."""
    if owed.blocked:
        return Settled(owed, outcome, Delivery.Status.DEAD, attempts, body=body)
    return Settled(owed, outcome, Delivery.Status.WAITING, attempts, BLOCKED_PAUSE, body)


def defer(
    owed: Owed, deferred: Deferred, schedule: Sequence[float], host: str, body: str | None = None
) -> Settled:
    """Have one pair wait without an attempt; dead once that takes longer than all of them would."""
    waited = 0.0 if owed.waited is None else owed.waited.seconds
    if waited + deferred.delay > longest_deferral(schedule):
        detail = f"deferred too long: {deferred.detail}"
        outcome = Outcome(Verdict.DEAD, detail, attempted=False, host=host)
        return Settled(owed, outcome, Delivery.Status.DEAD, owed.attempts, body=body)
    outcome = Outcome(Verdict.DEFERRED, deferred.detail, attempted=False, host=host)
    return Settled(
        owed=owed,
        outcome=outcome,
        status=Delivery.Status.WAITING,
        attempts=owed.attempts,
        delay=deferred.delay,
        body=body,
        slot=deferred.slot,
        granted=deferred.granted,
    )


def longest_deferral(schedule: Sequence[float]) -> float:
    """Seconds that a pair may be deferred: as long as all its attempts would take."""
    return max(sum(schedule), DEFERRAL_FLOOR)


def next_delay(
    schedule: Sequence[float],
    attempts: int,
    retry_after: float | None = None,
    spread: Callable[[float, float], float] = random.uniform,
) -> float:
    """Seconds until the next attempt: the schedule's, spread, or what the receiver asked for."""
    delay = schedule[min(attempts, len(schedule) - 1)] * spread(1 - JITTER, 1 + JITTER)
    return max(delay, retry_after or 0.0)
