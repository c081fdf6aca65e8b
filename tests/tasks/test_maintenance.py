"""What beat has done by the hour, beside everything else that the same worker does."""

from datetime import timedelta

import pytest
from django.utils import timezone

from doh.deliverers import chores
from doh.models import Delivery, Event, content_type_of
from doh.status import survey_broker
from doh_tasks.maintenance import prune
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

OLD = 3 * chores.STEP


@pytest.fixture
def old_events():
    """Events that were settled long ago, one delivery each."""
    long_ago = timezone.now() - timedelta(days=60)
    kind = content_type_of(Vehicle)
    events = Event.objects.bulk_create(
        Event(content_type_id=kind.pk, label="app.vehicle", object_id="1", action="changed",
              using="default", finished_at=long_ago, pending=0)
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
