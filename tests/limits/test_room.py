"""What a pump counts as under way."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from doh.journal import Flushed
from doh_tasks.pump import Pump, scribe

HOUR = 3600.0
LEASE = SimpleNamespace(starts_until=float("inf"), keep=lambda: True)


class Ledger:
    """A journal that only notes what is settled and handed back."""

    def __init__(self):
        self.handed_back = []
        self.details = []

    def flush(self, ring, settled, *, done):
        self.details += [one.outcome.detail for one in settled]
        return Flushed()

    def hand_back(self, rings):
        self.handed_back += rings


@pytest.fixture
def pump(settings):
    settings.HOOK_MAX_IN_FLIGHT = 2
    return Pump(lambda *_: None)


def test_what_is_held_until_its_slot_takes_no_room_and_is_handed_back_at_the_end(pump, make_work):
    ledger = Ledger()
    work = make_work(5, hold=HOUR)
    pump.submit(ledger, replace(work, lease=LEASE), None)
    assert pump.wait_for_room(10)
    pump.stop(1)
    assert ledger.handed_back == [work.claim.ring]
    assert pump.wait_for_room(0)


def test_a_pump_that_has_ended_may_be_told_to_end(pump):
    """Its loop may be over before whoever ends it has rung."""
    pump.stop(1)
    pump.stop(1)


def test_outcomes_beside_a_straggler_are_written_at_once_when_somebody_waits_for_room(
    pump, make_work, receiver, monkeypatch
):
    monkeypatch.setattr(scribe, "FLUSH_EVERY", HOUR)
    slow, quick = (make_work(target=receiver.url(path)) for path in ("/hold/", "/ok/"))
    work = replace(slow, jobs=(*slow.jobs, *quick.jobs), lease=LEASE)
    flight = pump.submit(Ledger(), work, None)
    assert pump.wait_for_room(30)
    assert not flight.done.is_set()
    receiver.release()
    pump.stop(30)
    assert flight.done.is_set()


def test_a_request_that_cannot_be_made_costs_no_other(pump, make_work, receiver, caplog):
    ledger = Ledger()
    bad, good = (make_work(target=receiver.url("/ok/")) for _ in range(2))
    (broken,) = bad.jobs
    broken = replace(broken, hook=replace(broken.hook, keyring=object()))
    work = replace(good, jobs=(broken, *good.jobs), lease=LEASE)
    assert pump.submit(ledger, work, None).done.wait(30)
    pump.stop(30)
    assert sorted(ledger.details) == ["", "the request could not be made"]
    assert "AttributeError" in caplog.text
