"""Claims of batches, sweeps, retries and redrive, by every journal."""

from doh import conf
from doh.journal import Ring, Settled
from doh.models import Batch, Delivery
from tests.journal.steps import BAD, LEASE, fan_out, make_due, redrive, settled, waiting


def test_a_batch_is_claimed_once_per_epoch(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    assert (claim.epoch, len(claim.owed)) == (1, 3)
    assert journal.claim_batch(batch, LEASE) is None


def test_whoever_was_given_up_for_dead_changes_nothing(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    make_due(Batch)
    (ring,) = journal.overdue_batches(10, 600)
    journal.claim_batch(ring, LEASE)
    before = Batch.objects.values().get()
    assert journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True).fenced
    assert not journal.renew(claim.ring, LEASE)
    assert not journal.store_bodies(claim.ring, {"1:1": "{}"})
    assert journal.hand_back([claim.ring]) == []
    assert Batch.objects.values().get() == before
    assert not Delivery.objects.exists()


def test_a_sweep_gives_an_overdue_claim_a_new_epoch_once(journal, batch):
    journal.claim_batch(batch, LEASE)
    assert journal.overdue_batches(10, 600) == []
    make_due(Batch)
    assert journal.overdue_batches(10, 600) == [Ring(batch.batch_id, 2)]
    assert journal.overdue_batches(10, 600) == []


def test_a_message_that_waits_longer_than_the_queue_lease_is_still_heard(journal, batch):
    for _ in range(3):
        make_due(Batch)
        assert journal.overdue_batches(10, 600) == [batch]
    assert journal.claim_batch(batch, LEASE).epoch == 1
    assert journal.claim_batch(batch, LEASE) is None
    make_due(Batch)
    assert journal.overdue_batches(10, 600) == [Ring(batch.batch_id, 2)]


def test_what_is_handed_back_is_due_at_once_at_a_new_epoch(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    assert journal.hand_back([claim.ring]) == [Ring(batch.batch_id, 2)]
    assert journal.overdue_batches(10, 600) == [Ring(batch.batch_id, 2)]


def test_only_the_remainder_is_owed_after_a_partial_flush(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [settled(claim.owed[0]), waiting(claim.owed[1], 100)], done=False)
    make_due(Batch)
    (ring,) = journal.overdue_batches(10, 600)
    assert journal.claim_batch(ring, LEASE).owed == (claim.owed[2],)


def test_stored_bodies_come_with_the_next_claim(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    assert journal.store_bodies(claim.ring, {"1:2": "[]"})
    (ring,) = journal.hand_back([claim.ring])
    assert journal.claim_batch(ring, LEASE).bodies == {"1:2": "[]"}


def test_due_deliveries_pass_to_batches_once(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [waiting(claim.owed[0]), waiting(claim.owed[1], 100)], done=False)
    assert len(journal.gather_retries(10, 10, 600)) == 1
    assert journal.gather_retries(10, 10, 600) == []


def test_a_kept_body_comes_back_with_the_retry(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    kept = Settled(claim.owed[0], BAD, "waiting", 1, 0.0, body='{"a":1}')
    journal.flush(claim.ring, [kept], done=False)
    (ring,) = journal.gather_retries(10, 10, 600)
    assert journal.claim_batch(ring, LEASE).owed[0].body == '{"a":1}'


def test_a_redriven_dead_letter_has_a_whole_schedule_before_it(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [settled(one, BAD, "dead") for one in claim.owed], done=True)
    assert redrive(journal) == 3
    assert redrive(journal) == 0
    (ring,) = journal.gather_retries(10, 10, 600)
    assert {one.attempts for one in journal.claim_batch(ring, LEASE).owed} == {0}


def test_a_batch_of_the_usual_size_is_read_and_written_whole(journal, make_event, make_hooks):
    """However few parameters a database takes in a statement."""
    size = conf.batch_size()
    make_hooks(size)
    make_event()
    (ring,) = fan_out(journal, limit=size, size=size)
    claim = journal.claim_batch(ring, LEASE)
    hooks = {row[0] for row in journal.read_hooks({one.hook_id for one in claim.owed})}
    assert len(hooks) == len(claim.owed) == size
    found = journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    assert len(found.written) == size
    assert not Batch.objects.exists()
