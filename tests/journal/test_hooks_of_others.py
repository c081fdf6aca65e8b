"""For one event the hooks of that object are read, however many there are of others."""

import pytest
from django.db import connection

from doh.journal import get_journal
from doh.journal.postgres import statements
from doh.models import Hook, content_type_of
from tests.app.models import Vehicle
from tests.buffers import explained
from tests.journal.steps import DELIVERER, LEASE

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL tells its buffers"),
]

#: Buffers of 8 kB, for an event, its hook, its batch and their indexes. Past the hooks of others it
#: is more than a hundred.
FEW = 60


@pytest.fixture(params=["an object each", "one object"])
def hooks_of_others(request, owner):
    """Thousands of them, and then one of the bus; PostgreSQL knows."""
    objects = range(1_000, 6_000) if request.param == "an object each" else [1_000] * 10_000
    Hook.objects.bulk_create(
        Hook(
            user=owner,
            content_type=content_type_of(Vehicle),
            target="http://a.test/",
            object_id=one,
        )
        for one in (*objects, 1)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE doh_hook, doh_event, doh_batch, doh_delivery")


def at_once(journal):
    found = journal.fan_out_at_once(DELIVERER, 10, 100, batch_size=100, queue_lease=LEASE)
    return found.events


def claimed(journal):
    return len(journal.match(journal.claim_events(10, LEASE), 100))


@pytest.mark.parametrize("usable", [True, False], ids=["functions", "statements"])
@pytest.mark.parametrize("fan_out", [at_once, claimed])
def test_a_fan_out_reads_past_the_hooks_of_others(
    fan_out, usable, hooks_of_others, make_event, monkeypatch
):
    if not usable:
        monkeypatch.setattr(statements, "is_usable", lambda *_: False)
    make_event()
    fan_out(get_journal())  # The first of a connection reads the catalog, too.
    make_event()
    with explained() as found:
        assert fan_out(get_journal()) == 1
    assert found.buffers < FEW, found.plans
