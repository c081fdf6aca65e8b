"""A pair or an event that kills whoever takes it up ends visibly, and takes no other along."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from doh.dispatch import prepare
from doh.journal.ledger import GIVE_UP_AFTER, SUSPECT_AFTER
from doh.models import Batch, Delivery, Event
from tests import marks
from tests.journal.invariant import assert_owned_once, owned_pairs
from tests.journal.steps import BAD, LEASE, fan_out, make_due, settled, waiting


def sweep(journal):
    make_due(Batch)
    return journal.overdue_batches(100, 600)


def claim_in_vain(journal, times):
    """Whoever claims anything dies at once, so many times."""
    for _ in range(times):
        for ring in sweep(journal):
            journal.claim_batch(ring, LEASE)
        assert_owned_once()


@pytest.fixture
def trio(journal, make_event, make_hooks):
    """One batch of three pairs."""
    make_hooks(3)
    make_event()
    fan_out(journal)


def test_a_suspected_batch_is_taken_apart_and_no_pair_is_lost(journal, trio):
    before = owned_pairs()
    claim_in_vain(journal, SUSPECT_AFTER + 1)
    assert Batch.objects.count() == 3
    assert owned_pairs() == before
    claims = [journal.claim_batch(ring, LEASE) for ring in sweep(journal)]
    assert [len(claim.owed) for claim in claims] == [1, 1, 1]


def test_a_suspected_batch_of_retries_is_taken_apart(journal, trio):
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    journal.flush(claim.ring, [waiting(one) for one in claim.owed], done=True)
    journal.gather_retries(10, 10, 600)
    claim_in_vain(journal, SUSPECT_AFTER + 1)
    assert Batch.objects.count() == 3
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    assert [(one.attempts, one.first) for one in claim.owed] == [(1, False)]


def test_rendered_bodies_stay_with_their_pairs(journal, trio):
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    journal.store_bodies(claim.ring, {one.key: f'"{one.key}"' for one in claim.owed})
    claim_in_vain(journal, SUSPECT_AFTER)
    for ring in sweep(journal):
        part = journal.claim_batch(ring, LEASE)
        assert part.bodies == {part.owed[0].key: f'"{part.owed[0].key}"'}


def test_an_outcome_clears_a_batch_of_suspicion(journal, trio):
    claim_in_vain(journal, SUSPECT_AFTER - 1)
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    journal.flush(claim.ring, [settled(claim.owed[0])], done=False)
    claim_in_vain(journal, SUSPECT_AFTER)
    assert Batch.objects.count() == 1


def test_a_suspect_is_claimed_ever_more_slowly(journal, trio):
    claim_in_vain(journal, SUSPECT_AFTER + 3)
    assert min(Batch.objects.values_list("due_at", flat=True)) > timezone.now() + timedelta(
        seconds=4 * LEASE
    )


def test_only_the_poisonous_pair_becomes_a_dead_letter(journal, trio):
    claim_in_vain(journal, SUSPECT_AFTER + 1)
    poison = max(owned_pairs())
    for _ in range(GIVE_UP_AFTER):
        for ring in sweep(journal):
            claim = journal.claim_batch(ring, LEASE)
            if claim.given_up:
                work = prepare(journal, claim, dump_for=None)
                (letter,) = journal.flush(claim.ring, work.settled, done=True).dead
                assert "in vain" in letter.reason
            elif claim.owed[0].pair != poison:
                journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    assert not Batch.objects.exists()
    assert Delivery.objects.filter(status="succeeded").count() == 2
    dead = Delivery.objects.dead().get()
    assert (dead.event_id, dead.hook_id) == poison
    assert Event.objects.get().finished_at is not None


UNFIT = replace(BAD, status_code=-1)


def test_an_outcome_that_cannot_be_written_takes_no_neighbour_along(journal, trio):
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    outcomes = [settled(one) for one in claim.owed]
    outcomes[1] = replace(waiting(claim.owed[1]), outcome=UNFIT, body='"kept"')
    flushed = journal.flush(claim.ring, outcomes, done=True)
    assert [letter.hook_id for letter in flushed.dead] == [claim.owed[1].hook_id]
    assert {one.owed for one in flushed.written} == set(claim.owed)
    assert Delivery.objects.filter(status="succeeded").count() == 2
    dead = Delivery.objects.dead().get()
    assert (dead.hook_id, dead.body, dead.attempts) == (claim.owed[1].hook_id, '"kept"', 1)
    assert "could not be written" in dead.detail
    assert not Batch.objects.exists()
    assert Event.objects.get().finished_at is not None


def test_the_log_has_what_was_refused_and_not_the_row(journal, trio, caplog):
    """PostgreSQL quotes the failing row in what it says."""
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    unfit = replace(waiting(claim.owed[0]), outcome=UNFIT, body=f'"{marks.PAYLOAD}"')
    journal.flush(claim.ring, [unfit], done=False)
    assert f"for hook {claim.owed[0].hook_id} can't be written" in caplog.text
    assert "IntegrityError" in caplog.text or "DataError" in caplog.text  # MariaDB's word for it.
    assert marks.PAYLOAD not in caplog.text
    if connection.vendor == "postgresql":
        assert "(23514 doh_delivery_status_code_check)" in caplog.text


def test_a_later_outcome_that_cannot_be_written_takes_no_neighbour_along(journal, trio):
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    journal.flush(claim.ring, [waiting(one) for one in claim.owed], done=True)
    claim = journal.claim_batch(journal.gather_retries(10, 10, 600)[0], LEASE)
    outcomes = [settled(one) for one in claim.owed]
    outcomes[2] = replace(outcomes[2], outcome=UNFIT)
    journal.flush(claim.ring, outcomes, done=True)
    assert Delivery.objects.filter(status="succeeded").count() == 2
    assert Delivery.objects.dead().get().attempts == 2


def test_a_payload_that_cannot_be_written_is_left_out_of_its_dead_letter(journal, trio):
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    unfit = replace(settled(claim.owed[0], BAD, "dead"), body="\ud800")
    journal.flush(claim.ring, [unfit, *map(settled, claim.owed[1:])], done=True)
    assert Delivery.objects.dead().get().body is None


def test_a_salvaged_flush_of_a_lost_batch_writes_nothing(journal, trio):
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    journal.hand_back([claim.ring])
    outcomes = [replace(settled(one), outcome=UNFIT) for one in claim.owed]
    assert journal.flush(claim.ring, outcomes, done=True).fenced
    assert not Delivery.objects.exists()


def test_neither_sweeps_nor_claims_that_are_handed_back_raise_suspicion(journal, trio):
    for _ in range(2 * GIVE_UP_AFTER):
        journal.hand_back(sweep(journal))
    for _ in range(2 * GIVE_UP_AFTER):
        journal.hand_back([journal.claim_batch(sweep(journal)[0], LEASE).ring])
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    assert (len(claim.owed), claim.given_up) == (3, False)


def test_a_suspected_event_is_claimed_alone_and_after_its_neighbours(journal, make_event):
    events = [make_event() for _ in range(3)]
    Event.objects.filter(pk__in=[one.pk for one in events[:2]]).update(epoch=SUSPECT_AFTER)
    claims = [journal.claim_events(10, LEASE) for _ in range(4)]
    assert [claim.id for claim in claims[0]] == [events[2].pk]
    assert [len(part) for part in claims] == [1, 1, 1, 0]
    leases = dict(Event.objects.values_list("pk", "due_at"))
    assert all(leases[one.pk] > leases[events[2].pk] for one in events[:2])


def test_an_event_claimed_in_vain_too_often_is_given_up_with_a_reason(journal, make_event):
    poison, sound = make_event(), make_event()
    Event.objects.filter(pk=poison.pk).update(epoch=GIVE_UP_AFTER)
    assert [claim.id for claim in journal.claim_events(10, LEASE)] == [sound.pk]
    poison.refresh_from_db()
    assert poison.finished_at is not None
    assert poison.due_at is None
    assert "in vain" in poison.error


def test_an_event_whose_deliverer_only_failed_is_not_suspected(journal, make_event):
    make_event(epoch=GIVE_UP_AFTER, tries=GIVE_UP_AFTER)
    make_event(epoch=GIVE_UP_AFTER, tries=GIVE_UP_AFTER)
    assert len(journal.claim_events(10, LEASE)) == 2


def test_a_result_hook_that_kills_its_worker_is_given_up(journal, trio):
    Event.objects.update(result_hook=True)
    claim = journal.claim_batch(sweep(journal)[0], LEASE)
    journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    for _ in range(GIVE_UP_AFTER):
        journal.claim_results(10, LEASE)
        make_due(Event)
    assert Event.objects.get().finished_at is not None
