"""Pairs that wait without an attempt, by every journal."""

from datetime import timedelta

import pytest

from doh.models import Attempt, Delivery, Event
from tests.journal.steps import LEASE, deferred, make_due, settled, waiting


def retry(journal):
    """Claim what is due again."""
    (claim,) = retries(journal)
    return claim


def retries(journal):
    """The same, where some of it was attempted and some was not."""
    make_due(Delivery)
    return [journal.claim_batch(ring, LEASE) for ring in journal.gather_retries(10, 10, 600)]


def age(**time):
    """Let so much time pass for what is deferred."""
    for delivery in Delivery.objects.exclude(deferred_at=None):
        delivery.deferred_at -= timedelta(**time)
        delivery.save()


def test_a_deferral_uses_no_attempt_and_is_no_first_outcome(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    flushed = journal.flush(claim.ring, [deferred(one, 60) for one in claim.owed], done=True)
    assert flushed.result_events == ()
    assert Event.objects.get().pending == 3
    assert set(Delivery.objects.values_list("status", "attempts")) == {("waiting", 0)}
    assert all(row.due_at > journal.now() for row in Delivery.objects.all())
    assert not Attempt.objects.exists()


def test_the_first_outcome_after_a_deferral_counts(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [deferred(one) for one in claim.owed], done=True)
    again = retry(journal)
    assert [(one.attempts, one.first, one.pending) for one in again.owed] == [(0, False, True)] * 3
    journal.flush(again.ring, [deferred(again.owed[0]), settled(again.owed[1])], done=False)
    assert Event.objects.get().pending == 2
    flushed = journal.flush(again.ring, [waiting(again.owed[2])], done=True)
    assert (Event.objects.get().pending, flushed.result_events) == (1, ())
    for last in retries(journal):
        flushed = journal.flush(last.ring, [settled(one) for one in last.owed], done=True)
        assert len(flushed.result_events) == last.owed[0].pending
    assert Event.objects.get().pending == 0
    assert set(Delivery.objects.values_list("pending", "deferred_at", "slot_at", "granted")) == {
        (False, None, None, 0)
    }


def test_a_pair_deferred_for_an_hour_counts_as_having_had_its_first_outcome(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [deferred(one) for one in claim.owed], done=True)
    age(minutes=59)
    again = retry(journal)
    journal.flush(again.ring, [deferred(one) for one in again.owed], done=True)
    assert Event.objects.get().pending == 3
    age(minutes=2)
    again = retry(journal)
    flushed = journal.flush(again.ring, [deferred(one) for one in again.owed], done=True)
    assert (Event.objects.get().pending, len(flushed.result_events)) == (0, 1)
    last = retry(journal)
    journal.flush(last.ring, [settled(one) for one in last.owed], done=True)
    assert Event.objects.get().pending == 0


def test_a_slot_and_who_granted_it_come_back_with_the_claim(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [deferred(claim.owed[0], 60, 62.5, 5)], done=False)
    (owed,) = retry(journal).owed
    assert owed.waited.granted == 5
    assert owed.waited.slot == pytest.approx(62.5, abs=60)
    assert 0 <= owed.waited.seconds < 60


def test_waiting_longer_than_every_attempt_would_take_ends_in_a_dead_letter(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [deferred(claim.owed[0])], done=False)
    age(days=1)
    (owed,) = retry(journal).owed
    dead = deferred(owed, 60)
    assert (dead.status, dead.attempts) == ("dead", 0)
    assert dead.outcome.detail == "deferred too long: the rate limit is reached"


def test_a_failed_attempt_begins_the_wait_anew(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [deferred(one) for one in claim.owed], done=True)
    age(hours=5)
    again = retry(journal)
    journal.flush(again.ring, [waiting(one) for one in again.owed], done=True)
    assert {one.waited for one in retry(journal).owed} == {None}
