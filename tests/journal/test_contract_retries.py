"""What is due again passes to batches by lanes, the hosts taking turns, by every journal."""

import pytest

from doh.journal import Settled
from doh.journal.packing import load_keys
from doh.models import Batch, Delivery
from doh.types import Outcome, Verdict
from tests.journal.steps import LEASE, deferred, fan_out


@pytest.fixture
def waiting_for(journal, make_event, make_hooks):
    """Deliveries of one event that are due again, one per named host, in that order."""

    def make(*hosts, attempts=1):
        make_hooks(len(hosts))
        make_event()
        (ring,) = fan_out(journal)
        claim = journal.claim_batch(ring, LEASE)
        outcomes = [
            Settled(owed, Outcome(Verdict.RETRY, host=host), "waiting", attempts, place - 1000.0)
            for place, (owed, host) in enumerate(zip(claim.owed, hosts, strict=True))
        ]
        journal.flush(claim.ring, outcomes, done=True)

    return make


def hosts_of(rings):
    found = []
    for ring in rings:
        keys = load_keys(Batch.objects.get(pk=ring.batch_id).pairs)
        found.append({Delivery.objects.get(hook_id=hook_id).host for _, hook_id in keys})
    return found


def test_hosts_take_turns_however_long_the_backlog_of_one_is(journal, waiting_for):
    waiting_for(*["dead"] * 6, "a", "b")
    (ring,) = journal.gather_lanes(3, 10, 600).slow
    assert hosts_of([ring]) == [{"dead", "a", "b"}]
    assert Delivery.objects.filter(batch_id=None, host="dead").count() == 5


def test_a_host_alone_takes_every_turn_longest_due_first(journal, waiting_for):
    waiting_for(*["a"] * 6)
    oldest = set(Delivery.objects.order_by("due_at").values_list("pk", flat=True)[:4])
    journal.gather_lanes(4, 10, 600)
    assert set(Delivery.objects.exclude(batch_id=None).values_list("pk", flat=True)) == oldest


def test_retries_go_on_the_slow_lane(journal, waiting_for):
    waiting_for("a", "b", attempts=1)
    lanes = journal.gather_lanes(10, 10, 600)
    assert lanes.first == []
    assert hosts_of(lanes.slow) == [{"a", "b"}]


def test_deferred_first_attempts_go_on_the_fast_lane_but_for_slow_hosts(journal, waiting_for):
    waiting_for("a", "b", attempts=0)
    lanes = journal.gather_lanes(10, 10, 600, {"b"})
    assert hosts_of(lanes.first) == [{"a"}]
    assert hosts_of(lanes.slow) == [{"b"}]


def test_what_is_not_due_stays(journal, batch):
    claim = journal.claim_batch(batch, LEASE)
    journal.flush(claim.ring, [deferred(one, 60) for one in claim.owed], done=True)
    assert not any(journal.gather_lanes(10, 10, 600))
