"""What a flush writes, and what it leaves alone, by every journal."""

from doh.journal import Owed, Settled
from doh.models import Attempt, Batch, Delivery, Event, Hook
from doh.types import Outcome, Verdict
from tests.journal.steps import BAD, LEASE, fan_out, make_due, settled, waiting


def test_a_flush_writes_deliveries_and_deletes_a_finished_batch(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    assert not Batch.objects.exists()
    assert set(Delivery.objects.values_list("status", "attempts", "status_code")) == {
        ("succeeded", 1, 200)
    }


def test_the_result_hook_is_due_when_every_pair_has_had_its_first_outcome(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    first = journal.flush(claim.ring, [waiting(claim.owed[0]), settled(claim.owed[1])], done=False)
    assert first.result_events == ()
    assert not journal.has_due_results()
    assert journal.claim_results(10, LEASE) == []
    last = journal.flush(claim.ring, [settled(claim.owed[2])], done=True)
    event = Event.objects.get()
    assert last.result_events == (event.pk,)
    assert (event.pending, event.finished_at) == (0, None)
    assert journal.has_due_results()
    (result,) = journal.claim_results(10, LEASE)
    assert not journal.has_due_results()
    journal.finish_event(result)
    event.refresh_from_db()
    assert event.finished_at is not None


def test_a_result_hook_that_died_is_due_again_after_its_lease(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    (dead,) = journal.claim_results(10, LEASE)
    assert journal.claim_results(10, LEASE) == []
    make_due(Event)
    (again,) = journal.claim_results(10, LEASE)
    journal.finish_event(dead)
    assert Event.objects.get().finished_at is None
    journal.finish_event(again)
    assert Event.objects.get().finished_at is not None


def test_an_event_is_not_finished_while_its_fan_out_goes_on(journal, make_event, make_hooks):
    make_hooks(4)
    make_event()
    claims = journal.claim_events(1, LEASE)
    (ring,), rest = journal.commit_slice(
        claims, journal.match(claims, 2), 2, batch_size=2, lease=LEASE, queue_lease=600
    )
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    assert Event.objects.get().finished_at is None
    rings = []
    while rest:
        pairs = journal.match(rest, 2)
        found, rest = journal.commit_slice(
            rest, pairs, 2, batch_size=2, lease=LEASE, queue_lease=600
        )
        rings += found
    claim = journal.claim_batch(rings[0], LEASE)
    journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    assert Event.objects.get().finished_at is not None


def test_a_second_outcome_does_not_lower_pending(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [waiting(claim.owed[0])], done=False)
    (ring,) = journal.gather_retries(10, 10, 600)
    retry = journal.claim_batch(ring, LEASE)
    assert [(one.attempts, one.first) for one in retry.owed] == [(1, False)]
    journal.flush(retry.ring, [settled(retry.owed[0])], done=True)
    assert Event.objects.get().pending == 2


def test_failed_attempts_are_logged_and_dead_letters_returned(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    dead = settled(claim.owed[1], BAD, "dead")
    flushed = journal.flush(
        claim.ring, [settled(claim.owed[0]), dead, waiting(claim.owed[2], 9)], done=True
    )
    (letter,) = flushed.dead
    assert letter.delivery_id == Delivery.objects.dead().get().pk
    assert letter.reason == "500 Internal Server Error"
    assert list(Attempt.objects.values_list("number", "status_code", "elapsed")) == [
        (1, 500, 0.5),
        (1, 500, 0.5),
    ]


def test_an_outcome_without_a_post_is_no_attempt(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    gone = Outcome(Verdict.CANCELLED, "the hook is gone", attempted=False)
    journal.flush(claim.ring, [Settled(claim.owed[0], gone, "cancelled", 0)], done=False)
    assert not Attempt.objects.exists()


def test_a_flush_disables_the_hook_and_no_other(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    gone = Outcome(Verdict.GONE, "410 Gone", 410, disable="it said 410")
    journal.flush(claim.ring, [settled(claim.owed[0], gone, "cancelled")], done=False)
    (hook,) = Hook.objects.exclude(disabled_at=None)
    assert (hook.pk, hook.disabled_reason) == (claim.owed[0].hook_id, "it said 410")


def test_a_hook_deleted_in_mid_batch_does_not_abort_the_flush(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    Hook.objects.all().delete()
    journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
    assert Delivery.objects.count() == 3


def test_a_flush_written_twice_counts_once(journal, batch):
    """The database took the COMMIT and died before it could say so."""
    claim = journal.claim_batch(batch, LEASE)
    gone = settled(claim.owed[1], BAD, "dead")
    outcomes = [settled(claim.owed[0]), gone]
    assert len(journal.flush(claim.ring, outcomes, done=False).dead) == 1
    assert journal.flush(claim.ring, outcomes, done=False).dead == ()
    assert journal.flush(claim.ring, [*outcomes, waiting(claim.owed[2])], done=True).dead == ()
    assert Event.objects.get().pending == 0
    assert Attempt.objects.count() == 2


def test_of_a_large_flush_only_what_is_not_there_yet_counts(journal, make_event, make_hooks):
    make_hooks(100)
    make_event()
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    outcomes = [waiting(one) for one in claim.owed]
    assert len(journal.flush(claim.ring, outcomes[:60], done=False).written) == 60
    assert len(journal.flush(claim.ring, outcomes[40:], done=True).written) == 40
    assert (Delivery.objects.count(), Attempt.objects.count()) == (100, 100)
    assert Event.objects.get().pending == 0


def test_a_retry_written_twice_counts_once(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [waiting(claim.owed[0])], done=False)
    (ring,) = journal.gather_retries(10, 10, 600)
    retry = journal.claim_batch(ring, LEASE)
    outcomes = [settled(retry.owed[0], BAD, "dead")]
    assert len(journal.flush(retry.ring, outcomes, done=False).dead) == 1
    assert journal.flush(retry.ring, outcomes, done=True).dead == ()
    assert Attempt.objects.count() == 2


def test_outcomes_of_any_shape_of_batch_find_their_deliveries(journal, make_event, make_hooks):
    """Many events with hooks of their own, and each of them to a hook of the whole model."""
    make_hooks(2, object_id=None)
    for key in range(120):
        make_hooks(1, object_id=str(key))
        make_event(object_id=str(key))
    (ring,) = fan_out(journal, limit=1000, size=1000)
    claim = journal.claim_batch(ring, LEASE)
    dead = [settled(one, BAD, "dead") for one in claim.owed[:200]]
    journal.flush(claim.ring, dead, done=False)
    (ring,) = journal.hand_back([claim.ring])
    rest = journal.claim_batch(ring, LEASE)
    assert rest.owed == claim.owed[200:]
    journal.flush(rest.ring, [waiting(one) for one in rest.owed], done=True)
    (ring,) = journal.gather_retries(1000, 1000, 600)
    last = journal.claim_batch(ring, LEASE)
    journal.flush(last.ring, [settled(one) for one in last.owed], done=True)
    assert Delivery.objects.filter(status="succeeded").count() == 160
    assert not Event.objects.filter(finished_at=None).exists()


def test_an_outcome_of_a_lost_pair_is_neither_logged_nor_disables_its_hook(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [waiting(one) for one in claim.owed], done=True)
    first, second, _ = journal.gather_retries(10, 1, 600)
    mine, other = journal.claim_batch(first, LEASE), journal.claim_batch(second, LEASE)
    gone = Outcome(Verdict.GONE, "410 Gone", 410, disable="it said 410")
    journal.flush(mine.ring, [settled(other.owed[0], gone, "dead")], done=False)
    assert Attempt.objects.count() == 3
    assert not Hook.objects.exclude(disabled_at=None).exists()


def test_a_delivery_of_another_batch_is_not_settled(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [waiting(one) for one in claim.owed], done=True)
    first, second, _ = journal.gather_retries(10, 1, 600)
    mine, other = journal.claim_batch(first, LEASE), journal.claim_batch(second, LEASE)
    stranger = Owed(other.owed[0].event_id, other.owed[0].hook_id, 1, first=False)
    journal.flush(mine.ring, [settled(mine.owed[0]), settled(stranger)], done=True)
    assert Delivery.objects.filter(status="succeeded").count() == 1
    assert Delivery.objects.filter(batch_id=other.id).count() == 1
