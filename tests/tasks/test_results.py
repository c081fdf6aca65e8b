"""Result hooks, beside sweeps and retries in one queue: none of them holds the others up."""

import pytest

from doh.deliverers import chores
from doh.deliverers.base import HooksDeliverer
from doh.journal import Flushed, get_journal
from doh.models import Event
from doh.status import survey_broker
from doh_tasks import results
from doh_tasks.maintenance import sweep
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

told: list = []


class Telling(HooksDeliverer):
    def after_deliver(self, hooks):
        told.append(hooks)


@pytest.fixture
def settled(hook_on):
    """Three events whose result hooks are due."""
    told.clear()
    bus = Vehicle.objects.create(name="55")
    hook_on(bus)
    for _ in range(3):
        bus.save()
    journal = get_journal()
    Event.objects.update(
        deliverer=f"{__name__}.Telling",
        result_hook=True,
        pending=0,
        fanned_at=journal.now(),
        due_at=journal.now(),
    )


def waiting():
    return survey_broker().queues["doh.maintenance"]


def test_flushes_that_end_events_ring_once_per_period(transactional_db):
    for number in range(20):
        results.announce(get_journal(), Flushed(result_events=(number,)))
    assert waiting() == 1


def test_result_hooks_take_turns_and_leave_the_next_one_to_the_queue(settled, monkeypatch):
    monkeypatch.setattr(results, "CLAIM", 1)
    monkeypatch.setattr(chores, "TURN", 0.0)
    before = waiting()
    results.finish()
    assert len(told) == 1
    assert waiting() == before + 1


def test_one_turn_runs_all_that_there_is_time_for(settled, monkeypatch):
    monkeypatch.setattr(results, "CLAIM", 1)
    monkeypatch.setattr(chores, "TURN", 60.0)
    results.finish()
    assert len(told) == 3
    assert not Event.objects.filter(finished_at=None).exists()


def test_a_sweep_runs_no_result_hooks_itself_but_has_them_run(settled):
    before = waiting()
    sweep()
    assert told == []
    assert waiting() == before + 1
