"""Which queue a retry run puts its batches on, and how many it makes."""

import pytest

from doh.journal import get_journal
from doh.models import Batch, Delivery, Event, content_type_of
from doh_tasks import maintenance, retries
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def due(hook_on, db):
    """Makes a delivery that is due again, after so many attempts."""
    bus = Vehicle.objects.create(name="55")
    hook = hook_on(bus)

    def make(attempts):
        event = Event.objects.create(
            content_type=content_type_of(Vehicle), label="app.vehicle", object_id="1", payload="{}"
        )
        now = get_journal().now()
        return Delivery.objects.create(
            event=event, hook=hook, status="waiting", attempts=attempts, due_at=now, updated_at=now
        )

    return make


def test_retries_go_on_the_slow_lane_and_deferred_first_attempts_on_the_fast_one(
    due, broker, rabbit
):
    if rabbit:
        pytest.skip("reads Redis lists")
    due(attempts=1)
    due(attempts=0)
    retries.retry()
    assert [broker.llen(name) for name in ("doh.element", "doh.element_slow")] == [1, 1]


def test_a_sweep_sends_what_is_due_again(due):
    due(attempts=1)
    maintenance.sweep()
    assert Batch.objects.count() == 1


def test_what_becomes_due_during_a_run_waits_for_the_next(due, monkeypatch):
    class Trickling(type(get_journal())):
        def gather_lanes(self, *arguments):
            due(attempts=1)
            return super().gather_lanes(*arguments)

    monkeypatch.setattr(retries, "get_journal", lambda: Trickling("default"))
    retries.retry()
    assert Batch.objects.count() == 1


def test_a_backlog_is_gathered_in_one_run(due, monkeypatch, settings):
    monkeypatch.setattr(retries, "STEP", 2)
    settings.HOOK_BATCH_SIZE = 2
    for _ in range(5):
        due(attempts=1)
    retries.retry()
    assert not Delivery.objects.filter(batch_id=None).exists()
