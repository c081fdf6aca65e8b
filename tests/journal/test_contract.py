from datetime import timedelta

import pytest
from django.utils import timezone

from doh.journal import Owed, Ring, Settled
from doh.models import Attempt, Batch, Delivery, Event, Hook
from doh.types import Outcome, Verdict
from tests.app.models import Vehicle
from tests.journal.invariant import assert_owned_once, owned_pairs

LEASE = 60.0
GOOD = Outcome(Verdict.SUCCEEDED, status_code=200)
BAD = Outcome(Verdict.RETRY, "500 Internal Server Error", 500, elapsed=0.5)


def fan_out(journal, limit=100, size=100):
    rings, claims = [], journal.claim_events(1000, LEASE)
    while claims:
        pairs = journal.match(claims, limit)
        found, claims = journal.commit_slice(
            claims, pairs, limit, batch_size=size, lease=LEASE, queue_lease=600
        )
        rings += found
        assert_owned_once()
    return rings


def settled(owed, outcome=GOOD, status="succeeded", delay=None):
    return Settled(owed, outcome, status, owed.attempts + 1, delay)


def waiting(owed, delay=0.0):
    return settled(owed, BAD, "waiting", delay)


def make_due(model):
    model.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(hours=1))


# Events


def test_an_event_is_claimed_once_for_one_lease(journal, make_event):
    event = make_event()
    (claim,) = journal.claim_events(10, LEASE)
    assert (claim.id, claim.epoch) == (event.pk, 1)
    assert journal.claim_events(10, LEASE) == []
    make_due(Event)
    (again,) = journal.claim_events(10, LEASE)
    assert again.epoch == 2


def test_a_named_event_is_claimed_only_if_nobody_has_yet(journal, make_event):
    event = make_event()
    assert len(journal.claim_events(1, LEASE, [event.pk])) == 1
    assert journal.claim_events(1, LEASE, [event.pk]) == []


def test_only_hooks_that_listen_are_matched(journal, make_event, make_hooks):
    (own,) = make_hooks(1)
    (whole,) = make_hooks(1, object_id=None)
    (every,) = make_hooks(1, action="*")
    make_hooks(1, action="deleted")
    make_hooks(1, object_id="2")
    make_hooks(1, disabled_at=timezone.now())
    make_hooks(1, expires_at=timezone.now() - timedelta(days=1))
    (later,) = make_hooks(1, expires_at=timezone.now() + timedelta(days=1))
    event = make_event()
    make_hooks(1)
    claims = journal.claim_events(10, LEASE)
    assert journal.match(claims, 100) == [
        (event.pk, pk) for pk in sorted([own, whole, every, later])
    ]


def test_hooks_on_a_key_that_differs_in_case_only_hear_nothing(journal, make_event, make_hooks):
    (own,) = make_hooks(1, object_id="Ab")
    make_hooks(1, object_id="aB")
    make_hooks(1, object_id="Ab", action="Changed")
    event = make_event(object_id="Ab")
    assert journal.match(journal.claim_events(1, LEASE), 10) == [(event.pk, own)]


def test_an_action_named_like_the_wildcard_reaches_a_hook_once(journal, make_event, make_hooks):
    (own,) = make_hooks(1, action="*")
    event = make_event(action="*")
    assert journal.match(journal.claim_events(1, LEASE), 10) == [(event.pk, own)]


def test_a_slice_takes_events_in_turn_each_from_where_it_stands(journal, make_event, make_hooks):
    hooks = make_hooks(4)
    first, second = make_event(), make_event(fanned_to=hooks[1])
    make_event(object_id="2")
    claims = sorted(journal.claim_events(10, LEASE), key=lambda claim: -claim.id)
    assert journal.match(claims, 5) == [
        (second.pk, hooks[2]),
        (second.pk, hooks[3]),
        *((first.pk, pk) for pk in hooks[:3]),
    ]


def test_an_event_without_hooks_is_finished_at_once(journal, make_event):
    event = make_event(result_hook=True, snapshot="{}")
    assert fan_out(journal) == []
    event.refresh_from_db()
    assert event.finished_at is not None
    assert (event.due_at, event.snapshot) == (None, None)


def test_a_large_event_spans_slices_and_batches_without_losing_a_pair(
    journal, make_event, make_hooks
):
    hooks = make_hooks(25)
    event = make_event()
    rings = fan_out(journal, limit=10, size=4)
    event.refresh_from_db()
    assert event.pending == 25
    assert event.fanned_at is not None
    assert [len(journal.claim_batch(ring, LEASE).owed) for ring in rings] == [
        4,
        4,
        2,
        4,
        4,
        2,
        4,
        1,
    ]
    assert sorted(owned_pairs()) == [(event.pk, pk) for pk in hooks]


def test_a_slice_may_end_exactly_where_an_event_ends(journal, make_event, make_hooks):
    make_hooks(5)
    events = [make_event(), make_event()]
    fan_out(journal, limit=5)
    assert Event.objects.filter(fanned_at__isnull=False, pending=5).count() == len(events)


def test_a_fan_out_that_died_goes_on_where_its_last_slice_ended(journal, make_event, make_hooks):
    hooks = make_hooks(12)
    event = make_event()
    claims = journal.claim_events(1, LEASE)
    journal.commit_slice(
        claims, journal.match(claims, 5), 5, batch_size=5, lease=LEASE, queue_lease=600
    )
    make_due(Event)
    fan_out(journal, limit=5, size=5)
    assert sorted(owned_pairs()) == [(event.pk, pk) for pk in hooks]


def test_a_slice_of_a_claim_that_was_lost_changes_nothing(journal, make_event, make_hooks):
    make_hooks(3)
    make_event()
    claims = journal.claim_events(1, LEASE)
    pairs = journal.match(claims, 10)
    make_due(Event)
    journal.claim_events(1, LEASE)
    assert journal.commit_slice(claims, pairs, 10, batch_size=5, lease=LEASE, queue_lease=600) == (
        [],
        [],
    )
    assert Batch.objects.count() == 0
    assert Event.objects.get().pending == 0


# Batches


@pytest.fixture
def batch(journal, make_event, make_hooks):
    """The doorbell of a batch of three pairs."""
    make_hooks(3)
    make_event(result_hook=True)
    (ring,) = fan_out(journal)
    return ring


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


def test_a_sweep_gives_an_overdue_batch_a_new_epoch_once(journal, batch):
    assert journal.overdue_batches(10, 600) == []
    make_due(Batch)
    assert journal.overdue_batches(10, 600) == [Ring(batch.batch_id, 1)]
    assert journal.overdue_batches(10, 600) == []


def test_what_is_handed_back_is_due_at_once_at_a_new_epoch(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    assert journal.hand_back([claim.ring]) == [Ring(batch.batch_id, 2)]
    assert journal.overdue_batches(10, 600) == [Ring(batch.batch_id, 3)]


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


# The flush


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
    assert journal.claim_results(10, LEASE) == []
    last = journal.flush(claim.ring, [settled(claim.owed[2])], done=True)
    event = Event.objects.get()
    assert last.result_events == (event.pk,)
    assert (event.pending, event.finished_at) == (0, None)
    (result,) = journal.claim_results(10, LEASE)
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


# Retries, redrive, pruning


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
    assert Delivery.objects.all().redrive(journal.now()) == 3
    assert Delivery.objects.all().redrive(journal.now()) == 0
    (ring,) = journal.gather_retries(10, 10, 600)
    assert {one.attempts for one in journal.claim_batch(ring, LEASE).owed} == {0}


def test_pruning_takes_finished_events_with_all_that_is_theirs(journal, make_event, make_hooks):
    make_hooks(2)
    old, waiting_event, fresh = make_event(), make_event(), make_event()
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    outcomes = [
        waiting(one, 1000) if one.event_id == waiting_event.pk else settled(one, BAD, "dead")
        for one in claim.owed
    ]
    journal.flush(claim.ring, outcomes, done=True)
    past = timezone.now() - timedelta(days=60)
    Event.objects.exclude(pk=fresh.pk).update(finished_at=past)
    assert journal.prune(timezone.now() - timedelta(days=30), 10) == 3
    assert not Event.objects.filter(pk=old.pk).exists()
    assert not Delivery.objects.filter(event_id=old.pk).exists()
    assert Attempt.objects.count() == Delivery.objects.count() == 4


def test_hooks_of_a_deleted_object_go_once_its_deletion_is_settled(journal, make_event, make_hooks):
    make_hooks(1, action="deleted")
    (other,) = make_hooks(1, object_id="2")
    make_event(action="deleted")
    assert journal.prune_orphans(10) == 0
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [waiting(claim.owed[0])], done=True)
    assert journal.prune_orphans(10) == 0
    (ring,) = journal.gather_retries(10, 10, 600)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [settled(claim.owed[0])], done=True)
    assert journal.prune_orphans(10) == 1
    assert Hook.objects.get().pk == other


def test_hooks_stay_if_the_object_exists_again(journal, make_event, make_hooks):
    make_hooks(1, action="deleted")
    make_event(action="deleted")
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [settled(claim.owed[0])], done=True)
    Vehicle.objects.create(pk=1, name="again")
    assert journal.prune_orphans(10) == 0


# A project's own deliverer


def test_an_event_can_be_released_postponed_reassigned_and_given_up(journal, make_event):
    make_event()
    (claim,) = journal.claim_events(1, LEASE)
    journal.postpone_event(claim, 0.0, "ValueError: no")
    (claim,) = journal.claim_events(1, LEASE)
    assert (claim.tries, Event.objects.get().error) == (1, "ValueError: no")
    journal.reassign_event(claim, "other.Deliverer", True, again_now=True)
    (claim,) = journal.claim_events(1, LEASE)
    assert claim.deliverer == "other.Deliverer"
    journal.postpone_event(claim, None, "x" * 900)
    event = Event.objects.get()
    assert event.finished_at is not None
    assert len(event.error) == 500
    other = make_event()
    (claim,) = journal.claim_events(1, LEASE)
    journal.release_event(claim)
    other.refresh_from_db()
    assert other.finished_at is not None
    assert not journal.has_due_events()
