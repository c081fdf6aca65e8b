"""How circuits open and close, on a clock of the test's own."""

import pytest

from doh_tasks.limits.store import host_key
from tests.limits.conftest import HOST, SECOND

OPEN, PAUSED = 8, 9


def verdicts(scripts, number=1):
    return [verdict for _, verdict in scripts.admit(number)]


def fail(scripts, number):
    return scripts.report(*[False] * number)


def test_five_failures_in_a_row_open_the_circuit_for_all(scripts):
    fail(scripts, 4)
    assert verdicts(scripts) == [0]
    _, watched, barred, slow = fail(scripts, 1)
    assert watched == barred == slow == {HOST}
    assert scripts.admit(2) == [(30.0, OPEN)] * 2


def test_an_answer_between_them_begins_the_row_anew(scripts):
    fail(scripts, 4)
    scripts.report(*[True] * 20, False)
    fail(scripts, 3)
    assert verdicts(scripts) == [0]
    fail(scripts, 1)
    assert verdicts(scripts) == [OPEN]


def test_seven_of_ten_open_it_without_a_row(scripts):
    scripts.report(True, False, False, False, True, False, False)
    scripts.report(True, False)
    assert verdicts(scripts) == [0]
    scripts.report(False)
    assert verdicts(scripts) == [OPEN]


def test_failures_of_an_earlier_window_do_not_count(scripts):
    scripts.report(True, False, False, False, True, False, False)
    scripts.now += 301
    scripts.report(True, False, False)
    assert verdicts(scripts) == [0]


def test_one_probe_goes_when_the_pause_is_over_and_an_answer_closes_the_circuit(scripts):
    fail(scripts, 5)
    scripts.now += 31
    assert scripts.admit(3) == [(0.0, 0), (30.0, OPEN), (30.0, OPEN)]
    _, _, barred, slow = scripts.report(True)
    assert (barred, slow) == (set(), set())
    assert verdicts(scripts, 3) == [0, 0, 0]


def test_a_failed_probe_doubles_the_pause_up_to_an_hour(scripts):
    fail(scripts, 5)
    pauses = []
    for _ in range(9):
        wait, verdict = scripts.admit()[0]
        assert verdict == OPEN
        pauses.append(wait)
        scripts.now += wait
        assert verdicts(scripts) == [0]
        fail(scripts, 1)
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_circuit_remembers_since_when_it_has_not_been_closed(scripts, client):
    def opened():
        return float(client.hget(host_key(HOST), "opened")) / SECOND

    fail(scripts, 5)
    first = scripts.now
    for wait in (31, 61):
        scripts.now += wait
        fail(scripts, 1)
        assert opened() == first
    scripts.now += 121
    scripts.report(True)
    fail(scripts, 5)
    assert opened() == scripts.now


def test_a_probe_that_is_never_heard_of_gives_way_to_another(scripts):
    fail(scripts, 5)
    scripts.now += 31
    assert verdicts(scripts, 2) == [0, OPEN]
    scripts.now += 31
    assert verdicts(scripts, 2) == [0, OPEN]


def test_late_news_of_posts_made_before_changes_nothing_while_it_is_open(scripts):
    fail(scripts, 5)
    scripts.report(True)
    fail(scripts, 50)
    assert scripts.admit() == [(30.0, OPEN)]


def test_a_host_is_left_alone_as_long_as_it_asks(scripts):
    _, _, barred, _ = scripts.report(False, quiet=120)
    assert barred == {HOST}
    assert scripts.admit() == [(120.0, PAUSED)]
    scripts.now += 121
    assert verdicts(scripts) == [0]
    assert scripts.report(True)[2] == set()


def test_slow_hosts_are_told_of_until_they_are_quick_again(scripts):
    assert scripts.report(True, latency=5.0)[3] == {HOST}
    for _ in range(10):
        found = scripts.report(True, latency=0.1)
    assert found[3] == set()


def test_a_host_whose_posts_pile_up_is_slow(scripts):
    assert scripts.report(busy=1)[3] == {HOST}
    assert scripts.report(True)[3] == set()


def test_who_knows_the_version_is_told_nothing_twice(scripts):
    (version, *_) = fail(scripts, 5)
    scripts.now += 1
    assert scripts.report(known=version) == [version]
    assert scripts.report(known=version - 1)[1] == {HOST}


def test_without_a_breaker_no_circuit_opens(scripts):
    scripts.report(*[False] * 50, breaker=False)
    assert verdicts(scripts) == [0]


@pytest.mark.parametrize("failures", [1, 5])
def test_what_is_known_of_a_host_expires(client, scripts, failures):
    fail(scripts, failures)
    assert client.pttl("doh:{limits}:host:a.example") > 0
