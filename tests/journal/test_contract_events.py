"""Claims of events and their fan-out, by every journal."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from doh import fanout
from doh.models import Batch, Delivery, Event
from tests.journal.invariant import owned_pairs
from tests.journal.steps import (
    BAD,
    DELIVERER,
    LEASE,
    fan_out,
    fan_out_at_once,
    make_due,
    settled,
)


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


def claimed_and_matched(journal):
    return journal.match(journal.claim_events(10, LEASE), 100)


def fanned_out_at_once(journal):
    fan_out_at_once(journal)
    return owned_pairs()


#: A journal may have statements of its own for each: the rules are the same.
either_way = pytest.mark.parametrize("owed", [claimed_and_matched, fanned_out_at_once])


@either_way
def test_only_hooks_that_listen_are_matched(journal, make_event, make_hooks, owed):
    (own,) = make_hooks(1)
    (whole,) = make_hooks(1, object_id=None)
    (every,) = make_hooks(1, action="*")
    (all_of_all,) = make_hooks(1, object_id=None, action="*")
    make_hooks(1, action="deleted")
    make_hooks(1, object_id=None, action="deleted")
    make_hooks(1, object_id="2")
    make_hooks(1, disabled_at=timezone.now())
    make_hooks(1, expires_at=timezone.now() - timedelta(days=1))
    (later,) = make_hooks(1, expires_at=timezone.now() + timedelta(days=1))
    event = make_event()
    make_hooks(1)
    assert list(owed(journal)) == [
        (event.pk, pk) for pk in sorted([own, whole, every, all_of_all, later])
    ]


@either_way
def test_hooks_on_a_key_that_differs_in_case_only_hear_nothing(
    journal, make_event, make_hooks, owed
):
    (own,) = make_hooks(1, object_id="Ab")
    make_hooks(1, object_id="aB")
    make_hooks(1, object_id="Ab", action="Changed")
    event = make_event(object_id="Ab")
    assert list(owed(journal)) == [(event.pk, own)]


@either_way
def test_an_action_named_like_the_wildcard_reaches_a_hook_once(
    journal, make_event, make_hooks, owed
):
    (own,) = make_hooks(1, action="*")
    event = make_event(action="*")
    assert list(owed(journal)) == [(event.pk, own)]


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


def test_what_is_fresh_and_small_is_fanned_out_without_a_claim(journal, make_event, make_hooks):
    hooks = make_hooks(3)
    one, two = make_event(traceparent="00-1", snapshot="{}"), make_event(result_hook=True)
    nobody = make_event(object_id="2", snapshot="{}")
    found = fan_out_at_once(journal, size=4)
    assert (found.events, found.traces) == (3, {"00-1"})
    sizes = [len(journal.claim_batch(ring, LEASE).owed) for ring in found.rings]
    assert (len(sizes), sum(sizes)) == (2, 6)
    assert max(sizes) <= 4
    assert sorted(owned_pairs()) == [(event.pk, pk) for event in (one, two) for pk in hooks]
    assert set(Event.objects.values_list("pending", "epoch", "due_at")) == {
        (3, 0, None),
        (0, 0, None),
    }
    nobody.refresh_from_db()
    assert (nobody.finished_at is not None, nobody.snapshot) == (True, None)
    one.refresh_from_db()
    assert (one.finished_at, one.snapshot) == (None, "{}")
    assert fan_out_at_once(journal).events == 0


def test_what_owes_too_much_for_one_transaction_is_left_as_it_is(journal, make_event, make_hooks):
    make_hooks(3)
    make_event()
    assert fan_out_at_once(journal, most=2) is None
    assert (Batch.objects.count(), Event.objects.get().fanned_at) == (0, None)
    assert len(fan_out_at_once(journal, most=3).rings) == 1


def test_only_fresh_events_of_the_deliverer_are_fanned_out_without_a_claim(journal, make_event):
    make_event(deliverer="other.Deliverer")
    make_event(epoch=1)
    make_event(due_at=timezone.now() + timedelta(hours=1))
    (mine, _) = make_event(), make_event()
    assert fan_out_at_once(journal, limit=1).events == 1
    assert list(Event.objects.filter(fanned_at__isnull=False)) == [mine]


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


def test_sending_starts_after_a_small_slice_and_each_is_twice_as_large_as_the_one_before(
    journal, make_event, make_hooks, monkeypatch, settings
):
    monkeypatch.setattr(fanout, "_FIRST_SLICE", 2)
    settings.HOOK_SLICE_SIZE = 5
    settings.HOOK_BATCH_SIZE = 100
    make_hooks(16)
    make_event()
    slices = fanout.fan_out(journal, journal.claim_events(1, LEASE))
    sizes = [sum(len(journal.claim_batch(ring, LEASE).owed) for ring in rings) for rings in slices]
    assert sizes == [2, 4, 5, 5]
    settings.HOOK_SLICE_SIZE = 1
    assert fanout.first_slice() == 1


@pytest.mark.parametrize(
    "feature", ["can_return_rows_from_bulk_insert", "has_select_for_update_skip_locked"]
)
def test_a_database_that_can_do_less_delivers_the_same(
    journal, make_event, make_hooks, monkeypatch, feature
):
    monkeypatch.setattr(type(connection.features), feature, False)
    hooks = make_hooks(5)
    event = make_event()
    for ring in fan_out(journal, size=2):
        claim = journal.claim_batch(ring, LEASE)
        outcomes = [settled(one, BAD, "dead") for one in claim.owed]
        assert len(journal.flush(claim.ring, outcomes, done=True).dead) == len(claim.owed)
    assert list(Delivery.objects.order_by("hook_id").values_list("event_id", "hook_id")) == [
        (event.pk, pk) for pk in hooks
    ]


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


def test_what_is_due_first_is_fresh_or_is_not(journal, make_event):
    later = timezone.now() + timedelta(hours=1)
    make_event(due_at=later)
    assert not journal.begins_fresh(DELIVERER)
    first = make_event()
    make_event(epoch=1)
    assert journal.begins_fresh(DELIVERER)
    assert not journal.begins_fresh("project.deliver")
    Event.objects.filter(pk=first.pk).update(due_at=later)
    assert not journal.begins_fresh(DELIVERER)
