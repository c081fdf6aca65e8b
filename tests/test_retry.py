import pytest

from doh.journal import Owed
from doh.retry import next_delay, settle
from doh.types import Outcome, Verdict

SCHEDULE = (0, 5, 300)


def middle(low, high):
    return (low + high) / 2


def settled(verdict, attempts=0, body="b", **outcome):
    return settle(Owed(1, 1, attempts), Outcome(verdict, **outcome), SCHEDULE, body, middle)


@pytest.mark.parametrize(
    ("verdict", "status", "body"),
    [
        (Verdict.SUCCEEDED, "succeeded", None),
        (Verdict.GONE, "cancelled", "b"),
        (Verdict.CANCELLED, "cancelled", None),
        (Verdict.DEAD, "dead", "b"),
    ],
)
def test_a_final_verdict_settles_for_good_and_what_may_be_sent_again_keeps_its_body(
    verdict, status, body
):
    one = settled(verdict)
    assert (one.status, one.attempts, one.delay, one.body) == (status, 1, None, body)


@pytest.mark.parametrize(("attempts", "delay"), [(0, 5), (1, 300)])
def test_a_failed_attempt_waits_as_the_schedule_says(attempts, delay):
    one = settled(Verdict.RETRY, attempts)
    assert (one.status, one.attempts, one.delay, one.body) == ("waiting", attempts + 1, delay, "b")


def test_the_last_attempt_makes_a_dead_letter():
    assert settled(Verdict.RETRY, 2).status == "dead"


def test_what_was_no_attempt_is_not_counted():
    one = settled(Verdict.RETRY, attempted=False, retry_after=300.0)
    assert (one.status, one.attempts, one.delay) == ("waiting", 0, 300.0)


def test_a_receiver_may_ask_for_more_time_and_not_for_less():
    assert settled(Verdict.RETRY, 0, retry_after=60.0).delay == 60.0
    assert settled(Verdict.RETRY, 1, retry_after=60.0).delay == 300


def test_delays_are_spread_by_a_fifth():
    assert {next_delay(SCHEDULE, 1, spread=lambda low, high: low) for _ in range(5)} == {4.0}
    assert next_delay(SCHEDULE, 1, spread=lambda low, high: high) == 6.0
    assert all(240 <= next_delay(SCHEDULE, 2) <= 360 for _ in range(100))
    assert next_delay(SCHEDULE, 99, spread=middle) == 300
