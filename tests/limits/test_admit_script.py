"""What the admission script grants, on a clock of the test's own."""

from bisect import bisect_right

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doh.limits import parse_rate

TEN = parse_rate("10/s")
#: The script counts whole microseconds.
EDGE = 1e-4


@given(
    rate=st.sampled_from(["3/s", "10/s", "90/m", "7200/h"]),
    calls=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), min_size=1, max_size=12),
    window=st.floats(0.1, 60),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_window_holds_more_than_the_rate_and_one_burst(client, scripts, rate, calls, window):
    client.flushdb()
    limit = parse_rate(rate)
    slots = []
    for pause, number in calls:
        scripts.now += pause
        slots += [scripts.now + wait for wait, _ in scripts.admit(number, [limit])]
    slots.sort()
    for place, begin in enumerate(slots):
        inside = bisect_right(slots, begin + window - EDGE) - place
        assert inside <= window / limit.period + limit.burst + EDGE


def test_slots_follow_each_other_at_the_rate(scripts):
    answer = scripts.admit(13, [TEN])
    assert [round(wait, 3) for wait, _ in answer] == [0.0] * 10 + [0.1, 0.2, 0.3]
    assert [verdict for _, verdict in answer] == [0] * 10 + [1] * 3


def test_a_slot_within_the_hold_is_no_deferral(scripts):
    assert [verdict for _, verdict in scripts.admit(40, [TEN], hold=2.0)] == [0] * 30 + [1] * 10


def test_who_comes_back_for_a_slot_is_not_asked_for_another(scripts):
    scripts.admit(500, [TEN])
    assert scripts.admit(3, [TEN], granted=1) == [(0.0, 0)] * 3


def test_a_refusal_by_one_limit_takes_nothing_from_the_others(scripts):
    own, everything = parse_rate("1/s"), parse_rate("100/s")
    answer = scripts.admit(50, [own, everything])
    assert [verdict for _, verdict in answer].count(0) == 1
    assert scripts.admit(99, [everything]) == [(0.0, 0)] * 99


def test_the_bit_says_which_limit_granted_the_slot(scripts):
    hook, host, everything = TEN, parse_rate("1/s"), parse_rate("20/s")
    verdicts = [verdict for _, verdict in scripts.admit(4, [hook, host, everything])]
    assert verdicts == [0, 2, 2, 2]


def test_a_slot_beyond_the_horizon_is_not_given_out(scripts):
    answer = scripts.admit(100, [parse_rate("1/h")], horizon=7200)
    assert [verdict for _, verdict in answer[:4]] == [0, 1, 1, 10]
    scripts.now += 3 * 3600
    assert scripts.admit(1, [parse_rate("1/h")], horizon=7200) == [(0.0, 0)]


def test_keys_of_limits_at_rest_go_away(client, scripts):
    scripts.admit(3, [TEN])
    assert 0 < client.pttl("rate:10/1") < 700_000
