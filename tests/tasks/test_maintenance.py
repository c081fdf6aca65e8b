"""What beat has done by the hour, beside everything else that the same worker does."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from doh.deliverers import chores
from doh.models import Delivery, Event, content_type_of
from doh.status import survey_broker
from doh_tasks.maintenance import prune, sweep
from doh_tasks.retries import retry
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

OLD = 3 * chores.STEP
_OTHERS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'
"""


@pytest.fixture
def old_events():
    """Events that were settled long ago, one delivery each."""
    long_ago = timezone.now() - timedelta(days=60)
    kind = content_type_of(Vehicle)
    events = Event.objects.bulk_create(
        Event(content_type_id=kind.pk, label="app.vehicle", object_id="1", action="changed",
              using="default", occurred_at=long_ago, finished_at=long_ago, pending=0)
        for _ in range(OLD)
    )  # fmt: skip
    Delivery.objects.bulk_create(
        Delivery(event=event, hook_id=1, status="succeeded", attempts=1, updated_at=long_ago)
        for event in events
    )


def test_a_turn_at_pruning_ends_and_leaves_the_next_one_to_the_queue(old_events, monkeypatch):
    monkeypatch.setattr(chores, "TURN", 0.0)
    prune()
    assert Delivery.objects.count() == OLD - chores.STEP
    assert survey_broker().queues["doh.maintenance"] == 1


def test_pruning_does_not_outlive_the_hour(old_events, monkeypatch):
    monkeypatch.setattr(chores, "TURN", 0.0)
    prune(until=1.0)
    assert survey_broker().queues["doh.maintenance"] == 0


@pytest.mark.parametrize("task", [sweep, retry])
def test_what_beat_asks_for_all_day_opens_no_connection_each_time(workers, task):
    worker = workers()
    worker.worker("all", "doh.collection,doh.maintenance", "-c", "1")
    seen = []
    for _ in range(3):
        done = f"{task.name}[{task.delay().id}] succeeded"
        worker.until(lambda said=done: said in worker.log("all"), "all")
        seen.append(other_connections())
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 1


def other_connections():
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS)
        return {pid for (pid,) in cursor.fetchall()}
