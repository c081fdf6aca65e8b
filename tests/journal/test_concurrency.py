"""What two connections do to each other; SQLite in memory has but one."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from doh import again as retrying
from doh.again import ATTEMPTS, again, is_passing
from doh.journal import Journal
from doh.models import Batch, Delivery, Event, Hook
from tests.journal.steps import BAD, LEASE, fan_out, settled, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _server(transactional_db):
    """A database that several connections may write to at once."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite in memory has one connection")


needs_server = pytest.mark.usefixtures("_server")


@needs_server
def test_of_two_claims_of_a_batch_one_wins(journal, make_event, make_hooks):
    make_hooks(3)
    make_event()
    (ring,) = fan_out(journal)
    results = together(*[lambda: journal.claim_batch(ring, LEASE)] * 4)
    assert sum(result is not None for result in results) == 1


@needs_server
def test_claimers_share_events_without_overlap(journal, make_event):
    events = {make_event().pk for _ in range(40)}
    results = together(*[lambda: journal.claim_events(10, LEASE)] * 4)
    taken = [claim.id for claims in results for claim in claims]
    assert len(taken) == len(set(taken))
    assert set(taken) <= events


@needs_server
def test_two_sweeps_ring_for_a_batch_once(journal, make_event, make_hooks):
    make_hooks(1)
    for _ in range(10):
        make_event()
        fan_out(journal)
    Batch.objects.update(due_at=timezone.now() - timedelta(hours=1))
    results = together(*[lambda: journal.overdue_batches(100, 600)] * 3)
    rings = [ring for rings in results for ring in rings]
    assert len(rings) == len({ring.batch_id for ring in rings}) == 10


@needs_server
def test_flushes_of_batches_over_the_same_events_all_land(journal, make_event, make_hooks):
    make_hooks(40)
    events = [make_event() for _ in range(8)]
    rings = fan_out(journal, limit=1000, size=20)
    claims = [journal.claim_batch(ring, LEASE) for ring in rings]

    def flush(claim):
        outcomes = [settled(one) for one in reversed(claim.owed)]
        return lambda: journal.flush(claim.ring, outcomes, done=True)

    for start in range(0, len(claims), 4):
        results = together(*[flush(claim) for claim in claims[start : start + 4]])
        assert not any(isinstance(result, Exception) or result.fenced for result in results)
    assert Delivery.objects.count() == 40 * len(events)
    assert set(Event.objects.values_list("pending", flat=True)) == {0}
    assert not Batch.objects.exists()


class Conflicted:
    """Fails as a database does, so many times."""

    alias = "default"

    def __init__(self, times, error):
        self.left, self.error = times, error

    @again
    def work(self):
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "done"


def passing_error():
    return OperationalError("database is locked")


def test_a_conflict_that_passes_is_tried_again_from_memory():
    assert Conflicted(3, passing_error()).work() == "done"


def test_a_conflict_that_stays_is_raised_in_the_end(monkeypatch):
    monkeypatch.setattr(retrying, "PATIENCE", 0.0)
    conflicted = Conflicted(1000, passing_error())
    with pytest.raises(OperationalError):
        conflicted.work()
    assert conflicted.left == 1000 - ATTEMPTS


def test_a_crowd_is_waited_for_as_long_as_patience_lasts(monkeypatch):
    monkeypatch.setattr(retrying, "_PAUSE", 0.0)
    assert Conflicted(3 * ATTEMPTS, passing_error()).work() == "done"


def test_another_error_is_raised_at_once():
    conflicted = Conflicted(1000, OperationalError("server closed the connection"))
    with pytest.raises(OperationalError):
        conflicted.work()
    assert conflicted.left == 999


def test_inside_somebody_elses_transaction_nothing_is_tried_again():
    conflicted = Conflicted(1, passing_error())
    with pytest.raises(OperationalError), transaction.atomic():
        conflicted.work()


@needs_server
def test_deadlocks_of_the_database_count_as_passing(owner):
    """A real deadlock: two transactions lock two rows in opposite order."""
    events = [Event.objects.create(content_type_id=1, object_id="1") for _ in range(2)]
    barrier = threading.Barrier(2)

    def lock(order):
        def run():
            with transaction.atomic():
                for place, index in enumerate(order):
                    Event.objects.filter(pk=events[index].pk).update(label="x")
                    if place == 0:
                        barrier.wait(10)

        return run

    results = together(lock([0, 1]), lock([1, 0]))
    (error,) = [result for result in results if isinstance(result, Exception)]
    assert is_passing(error)


@needs_server
def test_leases_follow_the_clock_of_the_database(monkeypatch, make_event):
    journal = Journal("default")
    make_event()
    skewed = timezone.now() + timedelta(minutes=10)
    monkeypatch.setattr(timezone, "now", lambda: skewed)
    journal.claim_events(1, LEASE)
    assert Event.objects.get().due_at < skewed - timedelta(minutes=8)
    assert journal.claim_events(1, LEASE) == []


@pytest.fixture
def _repeatable_read(transactional_db):
    """This thread's transactions see what was there when they began, and may have to start over."""
    if connection.vendor != "postgresql":
        pytest.skip("no other database says so reliably")
    with connection.cursor() as cursor:
        level = "TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        cursor.execute(f"SET SESSION CHARACTERISTICS AS {level}")
    yield
    connection.close()


@pytest.mark.usefixtures("_repeatable_read")
def test_enabling_a_hook_with_what_it_missed_starts_over_when_somebody_else_changed_it(
    journal, make_event, make_hooks
):
    make_hooks(1)
    make_event()
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [settled(one, BAD, "dead") for one in claim.owed], done=True)
    hook = Hook.objects.get()
    Hook.objects.update(
        failing_since=timezone.now() - timedelta(days=1), disabled_at=timezone.now()
    )
    changed = []

    def change_it_meanwhile(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if not changed and not sql.startswith("UPDATE"):
            changed.extend(together(lambda: Hook.objects.update(disabled_reason="by hand")))
        return result

    with connection.execute_wrapper(change_it_meanwhile):
        assert hook.enable(redrive=True) == 1
    assert changed == [1]
    assert Hook.objects.get().is_enabled
    assert Delivery.objects.waiting().count() == 1
