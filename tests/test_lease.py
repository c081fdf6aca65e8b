import pytest

from doh.deliverers.resolve import dump_for
from doh.dispatch import prepare
from doh.fanout import fan_out
from doh.journal import get_journal
from doh.lease import Lease
from doh.models import Batch, Delivery, Event
from tests.app.models import Parcel

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    """A monotonic clock that the test moves on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("doh.lease.monotonic", clock)
    monkeypatch.setattr("doh.journal.batches.monotonic", clock)
    return clock


@pytest.fixture
def claim(hook_on, settings, clock):
    """A claimed batch of three pairs with a dynamic payload."""
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_task"
    parcel = Parcel.objects.create(code="a")
    for _ in range(3):
        hook_on(parcel)
    parcel.save()
    journal = get_journal()
    ((ring,),) = fan_out(journal, journal.claim_events(10, 60))
    return journal.claim_batch(ring, 60)


def test_a_claim_is_prolonged_once_a_third_of_it_is_used_up(claim, clock, settings):
    lease = Lease(get_journal(), claim.ring, claim.since)
    first = Batch.objects.get().due_at
    clock.now += 19
    assert lease.keep()
    assert Batch.objects.get().due_at == first
    clock.now += 2
    assert lease.keep()
    assert Batch.objects.get().due_at > first
    assert lease.starts_until == clock.now + 60 - 15 - 5


def test_a_claim_that_somebody_else_has_is_not_prolonged(claim, clock):
    lease = Lease(get_journal(), claim.ring, claim.since)
    Batch.objects.update(epoch=claim.epoch + 1)
    clock.now += 30
    assert not lease.keep()


def test_whoever_stood_still_right_after_its_claim_finds_that_it_is_over(claim, clock):
    Event.objects.update(payload="{}")  # With nothing to render there is nothing to store.
    clock.now += 100
    Batch.objects.update(epoch=claim.epoch + 1)
    assert prepare(get_journal(), claim, dump_for) is None


def test_a_batch_whose_payloads_take_long_stays_ours(claim, clock, monkeypatch):
    before = Batch.objects.get().due_at
    monkeypatch.setattr(Parcel, "get_dynamic_payload", lambda self, hook: slowly(clock))
    work = prepare(get_journal(), claim, dump_for)
    assert len(work.jobs) == 3
    assert Batch.objects.get().due_at > before
    assert work.lease.starts_until > clock.now


def test_a_batch_that_was_lost_while_its_payloads_were_rendered_is_left_alone(
    claim, clock, monkeypatch, receiver
):
    def lose(self, hook):
        Batch.objects.update(epoch=claim.epoch + 1)
        return slowly(clock)

    monkeypatch.setattr(Parcel, "get_dynamic_payload", lose)
    assert prepare(get_journal(), claim, dump_for) is None
    assert not Delivery.objects.exists()


def slowly(clock):
    clock.now += 25
    return {}
