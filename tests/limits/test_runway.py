"""No host holds up another: the order in which a pump starts its jobs."""

import threading
from collections import deque
from types import SimpleNamespace

import pytest

from doh.dispatch import Job
from doh.wire.target import parse_target
from doh_tasks.pump.flight import Flight
from doh_tasks.pump.runway import STUCK, Left, Ready, Runway

NOW = 1000.0


@pytest.fixture
def runway():
    return Runway(cap=2)


def flight(*targets, holds=(), valid_until=NOW + 60):
    holds = [*holds, *[0.0] * len(targets)]
    jobs = deque(
        Job(None, url, None, "{}", parse_target(url), None, hold=hold)
        for url, hold in zip(map("http://{}/".format, targets), holds, strict=False)
    )
    return Flight(
        journal=None,
        ring=None,
        lease=SimpleNamespace(starts_until=valid_until),
        watcher=None,
        jobs=jobs,
        size=len(jobs),
        places=len(jobs),
        missing=len(jobs),
        unwritten=[],
        began=NOW,
        oldest=NOW,
        done=threading.Event(),
    )


def start(runway, now=NOW):
    """The hosts of all jobs that may start now."""
    hosts = []
    while isinstance(found := runway.next(now), Ready):
        hosts.append(found.job.place.host)
    assert found is None
    return "".join(hosts)


def test_jobs_of_other_hosts_overtake_those_of_a_host_at_its_cap(runway):
    runway.line_up(flight("a", "a", "a", "a", "b"))
    runway.line_up(flight("a", "c"))
    assert start(runway) == "aabc"
    runway.landed("a", NOW)
    assert start(runway) == "a"


def test_every_parked_job_starts_in_the_end(runway):
    runway.line_up(flight(*"aaaaa"))
    assert start(runway) == "aa"
    for _ in range(3):
        runway.landed("a", NOW)
        assert start(runway) == "a"
    runway.landed("a", NOW)
    runway.landed("a", NOW)
    assert start(runway) == ""


def test_a_job_is_held_until_its_slot_and_nobody_waits_for_it(runway):
    runway.line_up(flight("a", "b", holds=[1.5]))
    assert start(runway) == "b"
    assert runway.wake_at() == NOW + 1.5
    assert start(runway, NOW + 1.4) == ""
    assert start(runway, NOW + 1.5) == "a"
    assert runway.wake_at() is None


def test_jobs_of_a_silent_host_at_its_cap_are_turned_back(runway):
    runway.line_up(flight(*"aaaab"))
    start(runway)
    assert list(runway.stuck(NOW + STUCK)) == []
    runway.landed("b", NOW + STUCK)
    assert [ready.job.place.host for ready in runway.stuck(NOW + STUCK + 0.1)] == ["a", "a"]
    runway.landed("a", NOW + 5)
    assert start(runway, NOW + 5) == ""


def test_a_slow_host_that_answers_is_waited_for(runway):
    runway.line_up(flight(*"aaaaa"))
    start(runway)
    runway.landed("a", NOW + STUCK)
    start(runway)
    assert list(runway.stuck(NOW + STUCK * 2)) == []


def test_a_claim_that_ended_takes_its_waiting_jobs_along(runway):
    mine = flight(*"aaaa")
    runway.line_up(mine)
    start(runway)
    mine.lost = True
    runway.landed("a", NOW)
    assert runway.next(NOW) == Left(mine, 1)
    late = flight("b", "c", valid_until=NOW - 1)
    runway.line_up(late)
    assert runway.next(NOW) == Left(late, 2)


def test_nothing_is_left_behind_when_the_pump_stops(runway):
    one, other = flight("a", "a", "a", "b", holds=[9.0]), flight("c")
    runway.line_up(one)
    runway.line_up(flight("a", "a"))
    start(runway)
    runway.line_up(other)
    left = {left.flight: left.number for left in runway.clear()}
    assert left[one] == 1
    assert left[other] == 1
    assert sum(left.values()) == 4
    assert runway.clear() == []
