"""The invariant of ownership, read from the tables."""

from collections import Counter

from doh.journal.packing import load_pairs
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
            owners.update(pair for pair in load_pairs(batch.pairs) if pair not in settled)
    waiting = Delivery.objects.waiting().filter(due_at__isnull=False)
    owners.update(Pair(*row) for row in waiting.values_list("event_id", "hook_id"))
    return owners


def assert_owned_once() -> None:
    """No pair has two owners, no waiting one has none, and ``pending`` counts what is open."""
    owners = owned_pairs()
    assert all(number == 1 for number in owners.values()), owners
    for delivery in Delivery.objects.all():
        pair = Pair(delivery.event_id, delivery.hook_id)
        assert (pair in owners) == (delivery.status == Delivery.Status.WAITING), delivery
    first = Counter(pair.event_id for pair in owners)
    known = Counter(
        Delivery.objects.filter(status=Delivery.Status.WAITING).values_list("event_id", flat=True)
    )
    for event in Event.objects.all():
        assert event.pending == first[event.pk] - known[event.pk], event
        if event.finished_at is not None:
            assert event.pending == 0
