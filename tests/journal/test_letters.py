"""Redriving, purging, retrying now: in steps, twice, and beside workers."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from doh.letters import move_all
from doh.models import Batch, Delivery
from tests.journal.invariant import assert_owned_once
from tests.journal.steps import (
    BAD,
    LEASE,
    fan_out,
    make_due,
    redrive,
    settled,
    together,
    waiting,
)


def dead(owed):
    return settled(owed, BAD, "dead")


@pytest.fixture
def letters(journal, make_event, make_hooks):
    """Seven dead letters and one delivery that succeeded."""
    make_hooks(8)
    make_event()
    claim = journal.claim_batch(fan_out(journal)[0], LEASE)
    outcomes = [settled(claim.owed[0]), *map(dead, claim.owed[1:])]
    journal.flush(claim.ring, outcomes, done=True)


def test_every_step_is_committed_and_none_meets_a_letter_twice(journal, letters):
    steps = move_all(journal.redrive, Delivery.objects.all(), 3)
    assert next(steps) == 3
    assert Delivery.objects.waiting().count() == 3
    # They die again at once, while the run goes on.
    Delivery.objects.waiting().update(status="dead", due_at=None)
    assert list(steps) == [3, 1]


def test_an_interrupted_run_is_finished_by_the_next_one(journal, letters):
    next(move_all(journal.redrive, Delivery.objects.all(), 3))
    assert redrive(journal) == 4
    assert redrive(journal) == 0
    assert set(Delivery.objects.waiting().values_list("attempts", flat=True)) == {0}


def test_redriven_letters_are_sent_with_the_next_retry(journal, letters):
    redrive(journal)
    (ring,) = journal.gather_retries(100, 100, 600)
    assert len(journal.claim_batch(ring, LEASE).owed) == 7


def test_purged_letters_are_cancelled_for_good_and_say_why_they_died(journal, letters):
    Delivery.objects.update(body="{}")
    assert sum(move_all(journal.purge, Delivery.objects.all(), 3)) == 7
    assert sum(move_all(journal.purge, Delivery.objects.all(), 3)) == 0
    gone = Delivery.objects.filter(status="cancelled")
    assert set(gone.values_list("body", "detail")) == {(None, "purged: 500 Internal Server Error")}
    assert redrive(journal) == 0


def test_a_letter_purged_while_its_batch_goes_on_is_not_sent_again(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [dead(claim.owed[0])], done=False)
    sum(move_all(journal.purge, Delivery.objects.all()))
    assert_owned_once()
    (ring,) = journal.hand_back([claim.ring])
    assert len(journal.claim_batch(ring, LEASE).owed) == 2


def test_a_letter_redriven_while_its_batch_goes_on_has_one_owner(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [dead(claim.owed[0])], done=False)
    redrive(journal)
    assert_owned_once()
    # The answer to the first COMMIT was lost: the worker writes the same again.
    journal.flush(claim.ring, [dead(claim.owed[0])], done=False)
    assert Delivery.objects.waiting().count() == 1
    (ring,) = journal.gather_retries(10, 10, 600)
    assert_owned_once()
    assert len(journal.claim_batch(ring, LEASE).owed) == 1


def test_a_waiting_delivery_is_due_when_somebody_says_so(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [waiting(one, 1000.0) for one in claim.owed], done=True)
    assert journal.gather_retries(10, 10, 600) == []
    rows = Delivery.objects.filter(pk__gt=Delivery.objects.order_by("pk").first().pk)
    assert sum(move_all(journal.retry_now, rows)) == 2
    (ring,) = journal.gather_retries(10, 10, 600)
    retries = journal.claim_batch(ring, LEASE).owed
    assert [one.attempts for one in retries] == [1, 1]


def test_what_a_batch_is_sending_is_not_made_due_a_second_time(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [waiting(one) for one in claim.owed], done=True)
    journal.gather_retries(10, 10, 600)
    assert sum(move_all(journal.retry_now, Delivery.objects.all())) == 0
    assert_owned_once()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_two_runs_at_once_share_the_letters(journal, letters):
    results = together(*[lambda: redrive(journal)] * 3)
    assert sum(results) == 7
    assert_owned_once()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_run_waits_for_nobody_who_holds_a_letter(journal, letters):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("the server has no SKIP LOCKED")
    held = Delivery.objects.dead().order_by("pk").first()
    with transaction.atomic():
        list(Delivery.objects.select_for_update().filter(pk=held.pk))
        assert together(lambda: redrive(journal)) == [6]
    assert redrive(journal) == 1


def test_letters_of_pruned_events_are_no_letters_any_more(journal, letters):
    journal.prune(timezone.now() + timedelta(days=1), 100)
    assert redrive(journal) == 0
    make_due(Batch)
    assert journal.overdue_batches(10, 600) == []
