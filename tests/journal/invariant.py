"""The invariant of ownership, read from the tables."""

from collections import Counter

from doh.journal.packing import load_keys
from doh.models import Batch, Delivery, Event
from doh.types import Pair


def owned_pairs() -> Counter:
    """Every owed pair, with how many rows own it; an event that is not fanned out is left out."""
    settled = {Pair(*row) for row in Delivery.objects.values_list("event_id", "hook_id")}
    owners: Counter = Counter()
    for batch in Batch.objects.all():
        retries = Delivery.objects.filter(batch_id=batch.pk).values_list("event_id", "hook_id")
        if retries:
            owners.update(Pair(*row) for row in retries)
        else:
            owners.update(Pair(*keys) for keys in load_keys(batch.pairs) if keys not in settled)
    waiting = Delivery.objects.waiting().filter(due_at__isnull=False)
    owners.update(Pair(*row) for row in waiting.values_list("event_id", "hook_id"))
    return owners


def assert_owned_once() -> None:
    """No pair has two owners, no waiting one has none, and ``pending`` counts what is open."""
    owners = owned_pairs()
    assert all(number == 1 for number in owners.values()), owners
    _assert_deliveries(owners)
    _assert_events(owners)


def assert_nothing_lost(expected: set[Pair]) -> None:
    """Each of these pairs is settled, or owned by a row; there is no other."""
    settled = {Pair(*row) for row in Delivery.objects.values_list("event_id", "hook_id")}
    known = settled | set(owned_pairs())
    assert known <= expected, known - expected
    events = Event.objects.filter(fanned_at=None).values_list("pk", "fanned_to")
    to_come = dict(events)
    for pair in expected - known:
        assert pair.hook_id > to_come.get(pair.event_id, pair.hook_id), f"lost: {pair}"


def _assert_deliveries(owners: Counter) -> None:
    batches = {row.pk: set(load_keys(row.pairs)) for row in Batch.objects.all()}
    for delivery in Delivery.objects.all():
        pair = Pair(delivery.event_id, delivery.hook_id)
        waits = delivery.status == Delivery.Status.WAITING
        assert waits or not delivery.pending, delivery
        assert (pair in owners) == waits, delivery
        holders = [delivery.due_at, delivery.batch_id]
        assert [holder is None for holder in holders].count(False) == waits, delivery
        if delivery.batch_id is not None:
            assert pair in batches[delivery.batch_id], delivery


def _assert_events(owners: Counter) -> None:
    owed = Counter(pair.event_id for pair in owners)
    counted = Delivery.objects.waiting().filter(pending=False)
    retried = Counter(counted.values_list("event_id", flat=True))
    for event in Event.objects.all():
        assert event.pending == owed[event.pk] - retried[event.pk], event
        if event.finished_at is not None:
            assert event.due_at is None, event
            assert event.pending == 0 or event.fanned_at is None, event
        else:
            comes_next = event.fanned_at is None or event.pending == 0
            assert (event.due_at is not None) == comes_next, event
