"""Who waits for whom, where the database locks rows."""

import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone

from doh.journal import Ring
from doh.journal.packing import dump_pairs
from doh.models import Batch, Delivery, Event
from doh.types import Pair
from tests.journal.steps import BAD, LEASE, fan_out, fan_out_at_once, redrive, settled, together
from tests.workers import wait_until

pytestmark = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")


def in_background(function):
    """Start a function on a connection of its own; returns the thread, and where its result is."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(together(function)))
    thread.start()
    return thread, found


def is_free(pk):
    """Whether nobody has an event locked, as a connection of its own sees it."""

    def look():
        with transaction.atomic():
            return list(Event.objects.select_for_update(skip_locked=True).filter(pk=pk))

    return together(look) != [[]]


def among_many_others(pk):
    """Fill the ledger with events like one, so that PostgreSQL might rather go by their places."""
    (one,) = Event.objects.filter(pk=pk).values()
    del one["id"], one["uid"]
    one |= {"pending": 0, "finished_at": timezone.now()}
    Event.objects.bulk_create(Event(**one) for _ in range(10_000))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM doh_event")


def test_flushes_lock_their_events_in_one_order(journal, make_event):
    """Without it two of them could each wait for what the other one has."""
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("the server has no SKIP LOCKED")
    now = timezone.now()
    first, held, last = (make_event(fanned_at=now, due_at=None, pending=1).pk for _ in range(3))
    among_many_others(first)
    for pk in (first, held):  # So that they lie behind the last one.
        Event.objects.filter(pk=pk).update(object_id="moved")
    pairs = [Pair(pk, 1) for pk in (last, first, held)]
    batch = Batch.objects.create(pairs=dump_pairs(pairs), due_at=now)
    claim = journal.claim_batch(Ring(batch.pk, 0), LEASE)
    outcomes = [settled(one) for one in claim.owed]
    with transaction.atomic():
        list(Event.objects.select_for_update().filter(pk=held))
        thread, found = in_background(lambda: journal.flush(claim.ring, outcomes, done=True))
        wait_until(lambda: not is_free(first))
        assert is_free(last)
    thread.join()
    assert [one.fenced for one in found] == [False]
    assert not Event.objects.exclude(pending=0, finished_at__isnull=False).exists()


def test_of_two_flushes_at_once_the_later_one_finishes_the_event(journal, make_event, make_hooks):
    make_hooks(2)
    event = make_event(result_hook=True)
    claims = [journal.claim_batch(ring, LEASE) for ring in fan_out(journal, size=1)]
    one, other = ([settled(owed) for owed in claim.owed] for claim in claims)
    with transaction.atomic():
        assert journal.flush(claims[0].ring, one, done=True).result_events == ()
        thread, found = in_background(
            lambda: journal.flush(claims[1].ring, other, done=True).result_events
        )
        thread.join(0.5)
        assert thread.is_alive()
    thread.join()
    assert found == [(event.pk,)]
    event.refresh_from_db()
    assert event.pending == 0
    assert event.due_at is not None


def test_claimers_pass_by_what_another_one_is_claiming(journal, make_event):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("the server has no SKIP LOCKED")
    mine, others = [make_event().pk, make_event().pk], [make_event().pk, make_event().pk]
    with transaction.atomic():
        list(Event.objects.select_for_update().filter(pk__in=mine))
        thread, found = in_background(lambda: journal.claim_events(10, LEASE))
        thread.join(20)
        waits = thread.is_alive()
    thread.join()
    assert not waits
    assert sorted(claim.id for claim in found[0]) == others


def test_a_fan_out_at_once_passes_by_what_another_one_has(journal, make_event):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("the server has no SKIP LOCKED")
    mine, other = make_event(), make_event()
    with transaction.atomic():
        list(Event.objects.select_for_update().filter(pk=mine.pk))
        thread, _found = in_background(lambda: fan_out_at_once(journal))
        thread.join(20)
        waits = thread.is_alive()
    thread.join()
    assert not waits
    assert list(Event.objects.filter(fanned_at__isnull=False)) == [other]


def test_a_sweep_passes_by_a_batch_that_is_being_written(journal, make_event, make_hooks):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("the server has no SKIP LOCKED")
    make_hooks(1)
    make_event()
    fan_out(journal)
    Batch.objects.update(due_at=timezone.now())
    with transaction.atomic():
        list(Batch.objects.select_for_update())
        thread, found = in_background(lambda: journal.overdue_batches(10, 600))
        thread.join(20)
        waits = thread.is_alive()
    thread.join()
    assert not waits
    assert found == [[]]


def test_an_event_of_which_a_dead_letter_is_redriven_while_it_is_pruned_stays_as_it_is(
    journal, make_event, make_hooks
):
    make_hooks(2)
    make_event()
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [settled(one, BAD, "dead") for one in claim.owed], done=True)
    redriven = Delivery.objects.order_by("pk")[:1].get().pk
    with transaction.atomic():
        redrive(journal, pk=redriven)
        thread, found = in_background(lambda: journal.prune(timezone.now(), 10))
        thread.join(0.5)
    thread.join()
    assert found == [0]
    assert Delivery.objects.count() == 2
    assert Event.objects.exists()
