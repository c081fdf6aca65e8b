"""What becomes of a batch that meets a limit."""

import logging
from datetime import UTC, datetime

import pytest

from doh.journal.records import Waited
from doh.signals import limits_unavailable
from doh.types import Outcome, Verdict
from doh_tasks.limits import BUSY, admission, admit, circuits, report, slow_hosts
from doh_tasks.limits.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Counting(Store):
    """The store, and how often it was asked."""

    calls = 0

    def read(self, call):
        self.calls += 1
        return super().read(call)


@pytest.fixture
def store(monkeypatch):
    counting = Counting()
    for module in (admission, admission_reporting()):
        monkeypatch.setattr(module, "store", counting)
    return counting


def admission_reporting():
    from doh_tasks.limits import reporting

    return reporting


@pytest.fixture(autouse=True)
def _view(client, monkeypatch):
    """The view that admission goes by is the one that reports fill."""
    monkeypatch.setattr(admission, "view", admission_reporting().view)


def bad(job, **outcome):
    return job.settle(Outcome(Verdict.RETRY, "no", host=job.place.endpoint, **outcome))


def waiting(work):
    return [(one.outcome.detail, one.attempts) for one in work.settled]


def test_without_limits_a_batch_costs_no_call(make_work, store):
    slow_hosts()
    calls = store.calls
    work = make_work(3)
    assert admit(work) is work
    assert store.calls == calls


def test_a_batch_costs_one_call_however_many_limits_and_hosts_it_meets(make_work, store, settings):
    settings.HOOK_RATE_LIMIT = {"global": "1/s", "host": "1/s"}
    admit(make_work(500, rate="1/s"))
    assert store.calls == 1


def test_a_batch_over_a_hooks_limit_is_sent_in_part_held_in_part_and_deferred_in_part(make_work):
    work = admit(make_work(100, rate="10/s"))
    assert [round(job.hold, 1) for job in work.jobs] == [0.0] * 10 + [
        pytest.approx(step / 10) for step in range(1, 51)
    ]
    assert waiting(work) == [("the rate limit is reached", 0)] * 40
    first = work.settled[0]
    assert (first.slot, first.granted) == (pytest.approx(5.1), 1)
    assert first.delay == pytest.approx(0.1)


def test_hooks_do_not_share_their_limits(make_work):
    assert len(admit(make_work(2, rate="1/m", hook=1)).jobs) == 1
    assert len(admit(make_work(2, rate="1/m", hook=2)).jobs) == 1


def test_limits_of_hosts_go_by_name(make_work, settings):
    settings.HOOK_RATE_LIMIT = {"host": "2/m", "hosts": {"b.example": "3/m"}}
    assert len(admit(make_work(5)).jobs) == 1
    assert len(admit(make_work(5, target="https://a.example:8443/")).jobs) == 1
    work = admit(make_work(5, target="http://b.example/"))
    assert [one.slot for one in work.settled][:2] == [pytest.approx(20), pytest.approx(40)]


def test_a_slot_that_is_due_is_used_and_one_that_passed_is_asked_for_again(make_work):
    assert len(admit(make_work(1, rate="1/m")).jobs) == 1
    kept = admit(make_work(1, rate="1/m", waited=Waited(NOW, 60, 1.5, 1)))
    assert [job.hold for job in kept.jobs] == [1.5]
    passed = admit(make_work(1, rate="1/m", waited=Waited(NOW, 60, -60.0, 1)))
    assert passed.settled[0].slot == pytest.approx(60, abs=30)


def test_those_who_are_late_for_their_slots_do_not_go_all_at_once(make_work):
    late = admit(make_work(3, rate="2/s", waited=Waited(NOW, 60, -3.0, 1)))
    assert [job.hold for job in late.jobs] == [0.0, 0.5, 1.0]


def test_who_would_wait_longer_than_the_schedule_is_dead(make_work, settings):
    settings.HOOK_RETRY_SCHEDULE = [0, 7200]
    work = admit(make_work(5, rate="1/h"))
    assert [one.status for one in work.settled] == ["waiting", "waiting", "dead", "dead"]
    assert waiting(work)[-1] == ("deferred too long: the rate limit is reached", 0)


def test_failures_that_one_worker_saw_keep_all_from_the_host(make_work):
    report([bad(job, status_code=503) for job in make_work(5).jobs])
    work = admit(make_work(3, first=False))
    assert work.jobs == ()
    assert waiting(work) == [("the circuit to the host is open", 0)] * 3
    assert admit(make_work(1, target="http://b.example/")).settled == ()
    ((host, open_for, paused_for, opened_ago),) = circuits()
    assert (host, open_for > 20, paused_for) == ("a.example", True, 0.0)
    assert open_for + opened_ago == pytest.approx(30)
    # None comes back before its pause is over.
    assert all(open_for <= one.delay <= 37 for one in work.settled)


def test_what_a_hook_did_wrong_is_not_held_against_its_host(make_work):
    jobs = make_work(50).jobs
    report([bad(job, status_code=404) for job in jobs])
    report([bad(job, attempted=False) for job in jobs])
    assert len(admit(make_work(1)).jobs) == 1


def test_a_post_that_the_guard_refused_is_no_answer_of_the_host(make_work):
    blocked = Outcome(Verdict.BLOCKED, "refused", host="a.example")
    report([bad(job) for job in make_work(4).jobs])
    report([job.settle(blocked) for job in make_work(9).jobs])
    assert len(admit(make_work(1)).jobs) == 1
    report([bad(job) for job in make_work(1).jobs])
    assert admit(make_work(1)).jobs == ()


def test_retry_after_pauses_the_target_for_every_hook(make_work):
    report([bad(make_work().jobs[0], status_code=429, retry_after=90.0)])
    work = admit(make_work(1, hook=2))
    assert waiting(work) == [("the host asked for a pause", 0)]
    assert work.settled[0].delay >= 85


def test_first_attempts_to_a_slow_host_leave_the_fast_lane(make_work):
    job = make_work().jobs[0]
    report([job.settle(Outcome(Verdict.SUCCEEDED, status_code=200, elapsed=9.0, host="a.example"))])
    work = admit(make_work(2))
    assert [one.delay for one in work.settled] == [0.0, 0.0]
    assert len(admit(make_work(2, first=False)).jobs) == 2
    assert slow_hosts() == {"a.example"}


def test_a_host_that_posts_pile_up_at_is_slow(make_work):
    from doh.types import Deferred

    report([job.defer(Deferred(BUSY, 5.0)) for job in make_work(3).jobs])
    assert slow_hosts() == {"a.example"}


def test_answers_from_before_the_first_failure_count(make_work):
    good = Outcome(Verdict.SUCCEEDED, status_code=200, host="a.example")
    report([job.settle(good) for job in make_work(100).jobs])
    flaky = [
        bad(job) if turn % 4 else job.settle(good) for turn, job in enumerate(make_work(12).jobs)
    ]
    report(flaky)
    assert len(admit(make_work(1)).jobs) == 1


def test_without_redis_posts_are_made_and_that_is_said_once(make_work, settings, caplog):
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    settings.HOOK_RATE_LIMIT = {"global": "1/h"}
    heard = []
    limits_unavailable.connect(lambda error, **_: heard.append(error), weak=False)
    caplog.set_level(logging.WARNING)
    alone = Store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admission, "store", alone)
        for _ in range(5):
            assert len(admit(make_work(9)).jobs) == 9
    assert len(heard) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
