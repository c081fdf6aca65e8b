"""Who waits for whom, where the database locks rows."""

import threading
from contextlib import suppress

import pytest
from django.db import connection, transaction
from django.utils import timezone

from doh import again
from doh.journal import Ring
from doh.journal.packing import dump_pairs
from doh.models import Batch, Delivery, Event
from doh.types import Pair
from tests.journal.steps import BAD, LEASE, fan_out, redrive, settled, together

pytestmark = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")


def in_background(function):
    """Start a function on a connection of its own; returns the thread, and where its result is."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(together(function)))
    thread.start()
    return thread, found


def is_serialization_failure(error):
    """What REPEATABLE READ asks to run again; a deadlock is something else."""
    return getattr(error.__cause__, "sqlstate", None) == "40001"


def test_flushes_lock_their_events_in_one_order(journal, make_event, monkeypatch):
    """Without it these two wait for each other: one lowers 1 and 3 then 2, the other 2 then 3."""
    monkeypatch.setattr(again, "is_passing", is_serialization_failure)
    now = timezone.now()
    a, b, c = (make_event(fanned_at=now, due_at=None, pending=pending).pk for pending in (1, 3, 3))
    batches = [
        Batch.objects.create(pairs=dump_pairs([Pair(*pair) for pair in pairs]), due_at=now)
        for pairs in ([(a, 1), (b, 1), (b, 2), (c, 1)], [(b, 3), (c, 2), (c, 3)])
    ]
    claims = [journal.claim_batch(Ring(batch.pk, 0), LEASE) for batch in batches]
    barrier = threading.Barrier(2)

    def let_the_other_come_as_far(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and "doh_event" in sql:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(1)
        return result

    def flush(claim):
        def run():
            with connection.execute_wrapper(let_the_other_come_as_far):
                return journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)

        return run

    results = together(*map(flush, claims))
    assert [getattr(result, "fenced", result) for result in results] == [False, False]
    assert Event.objects.filter(pending=0, finished_at__isnull=False).count() == 3


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
