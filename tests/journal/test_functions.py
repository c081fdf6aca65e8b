"""PostgreSQL keeps plans in functions: that they are used, and that nobody depends on them."""

import logging
import re

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from doh.deliverers.resolve import dump_for
from doh.dispatch import prepare
from doh.journal import NewEvent, get_journal
from doh.journal.postgres import functions
from doh.models import CHANGED, Event, Hook, content_type_of, new_uid
from tests.app.models import Vehicle
from tests.buffers import explained
from tests.journal.steps import DELIVERER, LEASE, fan_out_at_once, settled

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has them"),
]

CALL = re.compile(r"SELECT \* FROM doh_(\w+)_[0-9a-f]{8}\(")


@pytest.fixture(autouse=True)
def intact():
    """Every test begins and ends with all functions."""
    yield
    call_command("migrate", verbosity=0)
    functions.forget()


@pytest.fixture
def none_there():
    """As if no release of this age had ever migrated."""
    with connection.cursor() as cursor:
        for name in functions._find_usable("default"):
            cursor.execute(f"DROP FUNCTION {name}")
    functions.forget()


def from_save_to_outcome(make_hooks):
    """All that is said of an event; returns how many outcomes were written."""
    journal = get_journal()
    make_hooks(1)
    kind = content_type_of(Vehicle).pk
    new = NewEvent(
        new_uid(), kind, "app.vehicle", "1", CHANGED, "default", DELIVERER, False, "{}", None, "",
        None, None, timezone.now(),
    )  # fmt: skip
    assert journal.is_heard(kind, "1", CHANGED)
    assert journal.record(new)
    assert journal.record(new._replace(uid=new_uid()), ask=True)
    assert journal.record(new._replace(uid=new_uid(), object_id="2"), ask=True) is None
    found = journal.fan_out_at_once(DELIVERER, 10, 10, batch_size=10, queue_lease=LEASE)
    (ring,) = found.rings
    claim = journal.claim_batch(ring, LEASE)
    assert len(prepare(journal, claim, dump_for).jobs) == 2
    return len(journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True).written)


def test_what_is_said_of_each_event_is_said_by_functions_that_migrate_created(make_hooks):
    with CaptureQueriesContext(connection) as captured:
        assert from_save_to_outcome(make_hooks) == 2
    called = {match[1] for one in captured if (match := CALL.match(one["sql"]))}
    assert called == {
        "is_heard",
        "record",
        "record_if_heard",
        "fan_out",
        "claim_batch",
        "read_events",
        "count_off",
    }


def test_without_them_the_same_is_said_in_statements(make_hooks, none_there):
    with CaptureQueriesContext(connection) as captured:
        assert from_save_to_outcome(make_hooks) == 2
    assert not any(CALL.match(one["sql"]) for one in captured)


def test_to_look_for_them_is_no_query_of_the_first_save(transactional_db):
    functions.forget()
    with CaptureQueriesContext(connection) as captured:
        get_journal().is_heard(content_type_of(Vehicle).pk, "1", CHANGED)
    assert sum("doh_" in one["sql"] for one in captured) == 1
    assert not any("pg_proc" in one["sql"] for one in captured)


def test_a_statement_that_has_changed_is_not_answered_by_what_it_was():
    old = functions.Function("number", "SELECT 1", {}, ["int"])
    new = functions.Function("number", "SELECT 2", {}, ["int"])
    functions.create("default", [old])
    assert functions.is_usable("default", old)
    assert not functions.is_usable("default", new)
    functions.create("default", [new])
    assert get_journal()._call(old, {}) == [(1,)]
    assert get_journal()._call(new, {}) == [(2,)]


def test_who_may_not_create_them_is_told_what_to_grant_and_goes_on(make_hooks, none_there, caplog):
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        try:
            cursor.execute("SET ROLE reader")
            with caplog.at_level(logging.WARNING, "doh.apps"):
                create_functions()
        finally:
            cursor.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")
    (told,) = caplog.messages
    assert "permission denied" in told
    assert "needs CREATE on the schema" in told
    assert from_save_to_outcome(make_hooks) == 2


def create_functions(using="default"):
    """What is done after each ``migrate``."""
    from doh.apps import _create_functions

    _create_functions(using)


def test_on_a_server_that_lost_them_one_call_fails_and_the_next_does_without(make_hooks):
    journal, kind = get_journal(), content_type_of(Vehicle).pk
    journal.is_heard(kind, "1", CHANGED)
    with connection.cursor() as cursor:
        for name in functions._find_usable("default"):
            cursor.execute(f"DROP FUNCTION {name}")
    with pytest.raises(ProgrammingError):
        journal.is_heard(kind, "1", CHANGED)
    assert from_save_to_outcome(make_hooks) == 2


@pytest.fixture
def events(make_event):
    """Write many events at once of an object that nobody listens to."""

    def write(number):
        (one,) = Event.objects.filter(pk=make_event(object_id="9").pk).values()
        del one["id"], one["uid"]
        Event.objects.bulk_create(Event(**one) for _ in range(number))

    return write


def analyze():
    """Let PostgreSQL know how its tables are."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE doh_hook, doh_event, doh_batch, doh_delivery")


@pytest.fixture
def planned_when_small(none_there, events):
    """A function whose plan was made for a hundred events and no hooks."""
    create_functions()
    events(100)
    analyze()
    assert fan_out_at_once(get_journal()).events == 100


def touched(work):
    """How many buffers a piece of work touches by a function that it calls."""
    with explained() as found:
        work()
    (number,) = (number for sql, number in found.plans if CALL.match(sql))
    return number


def test_a_plan_of_small_tables_passes_by_the_hooks_of_others(
    planned_when_small, owner, make_event
):
    common = {"user": owner, "content_type": content_type_of(Vehicle), "target": "http://a.test/"}
    Hook.objects.bulk_create(Hook(**common, object_id="2") for _ in range(5_000))
    Hook.objects.create(**common, object_id="1")
    make_event()
    assert touched(lambda: fan_out_at_once(get_journal())) < 100


def test_a_plan_of_small_tables_takes_the_oldest_of_many_events(planned_when_small, events):
    events(5_000)
    assert touched(lambda: fan_out_at_once(get_journal(), limit=1)) < 100


def test_the_oldest_of_many_events_are_taken_where_statistics_know_of_none(events):
    analyze()
    events(5_000)
    fan_out_at_once(get_journal(), limit=1)  # For the plan, which reads the catalog.
    assert touched(lambda: fan_out_at_once(get_journal(), limit=1)) < 100


def test_the_oldest_of_many_events_are_taken_where_there_are_no_statistics(events):
    with connection.cursor() as cursor:  # What is known of a column goes with its type.
        cursor.execute("TRUNCATE doh_event")
        for column in ("due_at", "fanned_at", "finished_at"):
            cursor.execute(f"ALTER TABLE doh_event ALTER {column} TYPE timestamptz")
        for column, kind in (("epoch", "int"), ("deliverer", "varchar(255)")):
            cursor.execute(f"ALTER TABLE doh_event ALTER {column} TYPE {kind}")
    events(20_000)
    fan_out_at_once(get_journal(), limit=1)
    assert touched(lambda: fan_out_at_once(get_journal(), limit=1)) < 100


def test_the_events_of_a_batch_are_read_by_their_keys_where_statistics_know_of_none(events):
    analyze()
    events(5_000)
    ids = list(Event.objects.values_list("pk", flat=True)[:500])
    with transaction.atomic():
        before = read_in_whole(Event)
        assert len(get_journal().read_events(ids)) == 500
        assert read_in_whole(Event) == before


def test_only_the_primary_key_finds_events_by_their_keys(transactional_db):
    """In an index that has the key behind other columns PostgreSQL 18 skips from one of their
    values to the next, and plans to while there are none: then come the events of a burst.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE doh_event DROP CONSTRAINT doh_event_pkey")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT 1 FROM doh_event WHERE id = ANY('{1,2}')")
        (plan, *_) = cursor.fetchone()
        transaction.set_rollback(True)
    assert plan.startswith("Seq Scan on doh_event")


@pytest.fixture(params=["by the function", "by the statement"])
def _either_way(request):
    """With the functions, and without."""
    if request.param == "by the statement":
        request.getfixturevalue("none_there")


@pytest.mark.usefixtures("_either_way")
def test_outcomes_are_counted_off_without_a_look_at_all_events(events, make_hooks, make_event):
    """The ledger is of a size at which PostgreSQL would rather read it than go by an index."""
    journal = get_journal()
    make_hooks(1)
    events(5_000)
    Event.objects.update(finished_at=timezone.now(), due_at=None)
    for _ in range(200):
        make_event()
    analyze()
    (ring,) = fan_out_at_once(journal, limit=200, most=200, size=200).rings
    claim = journal.claim_batch(ring, LEASE)
    with transaction.atomic():
        before = read_in_whole(Event)
        found = journal.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
        assert read_in_whole(Event) == before
    assert len(found.written) == 200
    assert not Event.objects.filter(finished_at=None).exists()


def read_in_whole(model):
    """How often this transaction has read all of a table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = %s",
            [model._meta.db_table],
        )
        return cursor.fetchone()[0]


def test_another_database_than_the_ledgers_gets_none(none_there):
    create_functions("other")
    assert functions._find_usable("default") == frozenset()
