"""How often the database is asked for an event with one hook: what a small batch costs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from doh.deliverers.resolve import dump_for
from doh.dispatch import prepare
from doh.journal import get_journal
from doh.journal.postgres import statements
from doh.models import Event, Hook
from tests.buffers import explained
from tests.journal.steps import DELIVERER, LEASE, settled

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the ORM asks more often"),
]


@pytest.fixture
def asked():
    """Counts the statements of a block, beside BEGIN and COMMIT."""

    def count(work):
        with CaptureQueriesContext(connection) as captured:
            found = work()
        said = [one["sql"] for one in captured if one["sql"] not in ("BEGIN", "COMMIT")]
        return len(said), found

    return count


def test_an_event_with_one_hook_takes_eight_statements_from_its_row_to_its_outcome(
    make_event, make_hooks, asked
):
    journal = get_journal()
    make_hooks(1)
    make_event()
    number, fanned_out = asked(
        lambda: journal.fan_out_at_once(DELIVERER, 10, 10, batch_size=10, queue_lease=LEASE)
    )
    assert number == 1
    (ring,) = fanned_out.rings
    number, claim = asked(lambda: journal.claim_batch(ring, LEASE))
    assert number == 1
    # The event, and the hook with its owner.
    number, work = asked(lambda: prepare(journal, claim, dump_for))
    assert number == 2
    assert len(work.jobs) == 1
    outcomes = [settled(one) for one in claim.owed]
    number, flushed = asked(lambda: journal.flush(claim.ring, outcomes, done=True))
    assert number == 4
    assert len(flushed.written) == 1


def test_to_learn_that_nothing_is_due_takes_one(transactional_db, asked):
    journal = get_journal()
    assert asked(lambda: journal.claim_events(10, LEASE)) == (1, [])
    assert asked(journal.has_due_results) == (1, False)


def test_whether_anybody_listens_is_read_from_the_index_even_if_nearly_all_hooks_do(
    make_hooks, monkeypatch
):
    """Else a save would read past the hooks of all other objects to find the first of its own.

    This is the statement; `test_functions` has what is kept of it.
    """
    monkeypatch.setattr(statements, "is_usable", lambda *_: False)
    make_hooks(20, object_id="2")
    (first, *_) = make_hooks(1_000)
    kind = Hook.objects.get(pk=first).content_type_id
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE doh_hook")
    with CaptureQueriesContext(connection) as captured:
        assert get_journal().is_heard(kind, "1", "changed")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("fanned_at", "name"),
    [(None, "has_due_events"), (timezone.now(), "has_due_results")],
    ids=["events", "results"],
)
def test_what_is_due_is_found_past_all_that_is_done_while_statistics_tell_of_a_burst(
    make_event, fanned_at, name
):
    """The table is read from its beginning else, of which a ledger keeps a month."""
    make_event(fanned_at=fanned_at)
    (one,) = Event.objects.values()
    del one["id"], one["uid"]
    Event.objects.bulk_create(Event(**one) for _ in range(5_000))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE doh_event")
    Event.objects.update(due_at=None, fanned_at=timezone.now(), finished_at=timezone.now())
    make_event(fanned_at=fanned_at)
    is_any_due = getattr(get_journal(), name)
    assert is_any_due()  # What is dead in the index is marked as such by whoever comes by first.
    with explained() as found:
        assert is_any_due()
    ((_, touched),) = found.plans
    assert touched < 10
