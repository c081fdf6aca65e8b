"""The retry policy: what an outcome makes of a delivery, as a value."""

import random
from collections.abc import Callable, Sequence
from typing import Final

from doh.journal.records import Owed, Settled
from doh.models import Delivery
from doh.types import Outcome, Verdict

#: A delay is spread by this share of itself, so that retries of one outage don't come at once.
JITTER: Final = 0.2

_FINAL: Final = {
    Verdict.SUCCEEDED: Delivery.Status.SUCCEEDED,
    Verdict.DEAD: Delivery.Status.DEAD,
    Verdict.CANCELLED: Delivery.Status.CANCELLED,
    # Nobody waits for it any more, so it is no dead letter to be redriven.
    Verdict.GONE: Delivery.Status.CANCELLED,
}


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
    attempts = owed.attempts + (1 if outcome.attempted else 0)
    if outcome.verdict is not Verdict.RETRY:
        status = _FINAL[outcome.verdict]
        kept = body if status is Delivery.Status.DEAD else None
        return Settled(owed, outcome, status, attempts, body=kept)
    if attempts >= len(schedule):
        return Settled(owed, outcome, Delivery.Status.DEAD, attempts, body=body)
    delay = next_delay(schedule, attempts, outcome.retry_after, spread)
    return Settled(owed, outcome, Delivery.Status.WAITING, attempts, delay, body)


def next_delay(
    schedule: Sequence[float],
    attempts: int,
    retry_after: float | None = None,
    spread: Callable[[float, float], float] = random.uniform,
) -> float:
    """Seconds until the next attempt: the schedule's, spread, or what the receiver asked for."""
    delay = schedule[min(attempts, len(schedule) - 1)] * spread(1 - JITTER, 1 + JITTER)
    return max(delay, retry_after or 0.0)
