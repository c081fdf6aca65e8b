"""What the journal's hot statements touch of a large ledger: buffers are counted, not time."""

import os
from contextlib import nullcontext

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from tests.bench import ledger

#: Deliveries of the ledger; ``make bench`` looks at ten million.
ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
DUE = 1_000

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def large(django_db_setup, django_db_blocker):
    """One large ledger for all: no test leaves a trace of its own."""
    if connection.vendor != "postgresql":
        pytest.fail("DATABASE_URL names no PostgreSQL: make bench-small")
    with django_db_blocker.unblock():
        get_user_model().objects.get_or_create(username="ada")
        ledger.fill(ROWS, DUE)
    yield
    with django_db_blocker.unblock():
        ledger.stage.clear()


def touched(work) -> int:
    """Buffers that a piece of work touches; on failure its statements are told."""
    with ledger.explained() as found:
        work()
    for sql, number in found.plans:
        print(number, " ".join(sql.split())[:300])
    assert found.plans
    return found.buffers


@pytest.mark.parametrize(
    ("work", "bound"),
    [
        pytest.param(lambda: ledger.due_scan(2 * DUE), 50 * DUE, id="due scan: 50 a row"),
        pytest.param(ledger.sweep, 100, id="sweep with nothing to do: 100 in all"),
        pytest.param(lambda: ledger.prune(1_000), 60 * 1_000, id="a step of pruning: 60 a row"),
        pytest.param(ledger.prune_nothing, 200, id="pruning with nothing to prune: 200 in all"),
    ],
)
def test_it_touches_what_it_needs(large, work, bound):
    assert touched(work) <= bound


def test_a_flush_touches_the_ends_of_the_indexes(large):
    with nullcontext(ledger.flush(500)) as flush:
        assert touched(flush) <= 50 * 500


@pytest.mark.parametrize("taken", [ledger.match, ledger.fan_out])
def test_a_fan_out_touches_the_hooks_it_takes(large, taken):
    assert touched(taken(1_000)) <= 2 * 1_000


def test_an_event_is_entered_in_few_indexes(large):
    """Each of its three writes enters it in all of these anew: a save pays for the first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'doh_event'"
            " AND (indexdef NOT LIKE '%WHERE%' OR indexdef LIKE '%(label IS NOT NULL)') ORDER BY 1"
        )
        assert [name for (name,) in cursor] == [
            "doh_event_object",
            "doh_event_pkey",
            "doh_event_uid",
        ]


def test_the_end_of_an_event_is_written_beside_it_and_entered_nowhere(large):
    """It changes no column of an index, so what it needs is room on the page of its event."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = 'doh_event'"
            " AND indexdef ~ 'finished_at|pending|snapshot'"
        )
        assert not cursor.fetchall()
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'doh_event'")
        assert cursor.fetchall() == [(["fillfactor=70"],)]
