"""Any interleaving of claims, crashes, flushes, sweeps and retries keeps every pair owned once.

Workers and collectors that were given up for dead keep what they had claimed, and may come back at
any later step to renew, flush or finish it.
"""

import pytest
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from doh.journal import Journal, get_journal
from doh.journal.ledger import GIVE_UP_AFTER, SUSPECT_AFTER
from doh.models import Batch, Delivery, Event, Hook, content_type_of
from doh.types import Pair
from tests.app.models import Vehicle
from tests.journal.conftest import journal_kinds, write_event
from tests.journal.invariant import assert_nothing_lost, assert_owned_once, owned_pairs
from tests.journal.steps import (
    BAD,
    DELIVERER,
    GOOD,
    LEASE,
    deferred,
    make_due,
    redrive,
    settled,
)

HOOKS = [("1", "changed"), ("2", "changed"), ("1", "*"), (None, "changed"), ("1", "deleted")]
STATUSES = ["succeeded", "waiting", "dead", "cancelled", "deferred"]
SMALL = st.integers(1, 4)


def settle(owed, status):
    if status == "succeeded":
        return settled(owed, GOOD)
    if status == "deferred":
        return deferred(owed, 1000.0)
    return settled(owed, BAD, status, 1000.0 if status == "waiting" else None)


class Interleaving(RuleBasedStateMachine):
    """Collectors, workers and sweeps that may die anywhere, over a ledger of a few pairs."""

    journal: Journal
    owner: object

    def __init__(self):
        super().__init__()
        self.hooks = []
        self.expected = set()
        self.loud = set()
        self.result_hooks_run = set()
        self.collectors = []
        self.rings = []
        self.workers = []
        self.results = []

    @initialize(hooks=st.lists(st.sampled_from(HOOKS), max_size=7))
    def subscribe(self, hooks):
        kind = content_type_of(Vehicle)
        for key, action in hooks:
            hook = Hook.objects.create(
                user=self.owner, content_type=kind, object_id=key, action=action, target="http://a/"
            )
            self.hooks.append((hook.pk, key, action))

    @rule(key=st.sampled_from("12"), loud=st.booleans())
    def happen(self, key, loud):
        event = write_event(object_id=key, result_hook=loud)
        told = {
            Pair(event.pk, pk)
            for pk, listens_to, action in self.hooks
            if listens_to in (key, None) and action in ("changed", "*")
        }
        self.expected |= told
        if loud and told:
            self.loud.add(event.pk)

    # Collectors

    @rule(limit=SMALL)
    def claim_events(self, limit):
        claims = self.journal.claim_events(limit, LEASE)
        if claims:
            self.collectors.append(claims)

    @precondition(lambda self: self.collectors)
    @rule(data=st.data(), limit=SMALL, size=SMALL, dies=st.booleans())
    def take_a_slice(self, data, limit, size, dies):
        claims = self.collectors.pop(data.draw(st.integers(0, len(self.collectors) - 1)))
        rest = self.slice(claims, limit, size)
        if rest and not dies:
            self.collectors.append(rest)

    @rule(limit=SMALL, most=SMALL, size=SMALL)
    def fan_out_at_once(self, limit, most, size):
        before = Batch.objects.count()
        found = self.journal.fan_out_at_once(
            DELIVERER, limit, most, batch_size=size, queue_lease=600
        )
        if found is None:
            assert Batch.objects.count() == before
        else:
            self.rings += found.rings

    def slice(self, claims, limit, size):
        pairs = self.journal.match(claims, limit)
        rings, rest = self.journal.commit_slice(
            claims, pairs, limit, batch_size=size, lease=LEASE, queue_lease=600
        )
        self.rings += rings
        return rest

    # Workers

    @precondition(lambda self: self.rings)
    @rule(data=st.data())
    def hear_a_ring(self, data):
        self.claim(data.draw(st.sampled_from(self.rings)))

    def claim(self, ring):
        claim = self.journal.claim_batch(ring, LEASE)
        if claim is None:
            return
        if claim.given_up:
            outcomes = [settled(one, BAD, "dead") for one in claim.owed]
            assert not self.journal.flush(claim.ring, outcomes, done=True).fenced
        else:
            self.workers.append((claim.ring, list(claim.owed)))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def renew(self, data):
        ring, _ = data.draw(st.sampled_from(self.workers))
        still_mine = Batch.objects.filter(pk=ring.batch_id, epoch=ring.epoch).exists()
        assert self.journal.renew(ring, LEASE) == still_mine

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def crash(self, data):
        self.workers.pop(data.draw(st.integers(0, len(self.workers) - 1)))

    @rule(times=st.sampled_from([1, 3, SUSPECT_AFTER + 1, GIVE_UP_AFTER + 1]))
    def claimants_keep_dying(self, times):
        for _ in range(times):
            make_due(Batch)
            for ring in self.journal.overdue_batches(2, 600):
                self.claim(ring)
            self.workers = self.workers[:5]

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), dies=st.booleans(), twice=st.booleans())
    def flush(self, data, dies, twice):
        ring, owed = self.workers.pop(data.draw(st.integers(0, len(self.workers) - 1)))
        number = data.draw(st.integers(0, len(owed)))
        done, left = owed[:number], owed[number:]
        outcomes = [settle(one, data.draw(st.sampled_from(STATUSES))) for one in done]
        flushed = self.journal.flush(ring, outcomes, done=not left)
        if twice:  # The answer to COMMIT was lost.
            assert self.journal.flush(ring, outcomes, done=not left).dead == ()
        if left and not dies and not flushed.fenced:
            self.workers.append((ring, left))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def hand_back(self, data):
        ring, _ = self.workers.pop(data.draw(st.integers(0, len(self.workers) - 1)))
        self.rings += self.journal.hand_back([ring])

    # Time, sweeps and people

    @rule()
    def leases_of_events_end(self):
        make_due(Event)

    @rule(limit=SMALL)
    def sweep(self, limit):
        make_due(Batch)
        self.rings += self.journal.overdue_batches(limit, 600)

    @rule(limit=SMALL, size=SMALL)
    def retry(self, limit, size):
        make_due(Delivery)
        self.rings += self.journal.gather_retries(limit, size, 600)

    @precondition(lambda self: self.hooks)
    @rule(data=st.data(), disabled=st.booleans())
    def a_hook_goes(self, data, disabled):
        """What is not fanned out to it yet never will be; the rest is its batches' to settle."""
        gone, *_ = self.hooks.pop(data.draw(st.integers(0, len(self.hooks) - 1)))
        hook = Hook.objects.filter(pk=gone)
        hook.disable("410 Gone", self.journal.now()) if disabled else hook.delete()
        known = set(owned_pairs()) | {
            Pair(*row) for row in Delivery.objects.values_list("event_id", "hook_id")
        }
        self.expected = {one for one in self.expected if one.hook_id != gone or one in known}
        self.loud &= {one.event_id for one in self.expected}

    @rule()
    def redrive(self):
        redrive(self.journal)

    @rule(dies=st.booleans())
    def run_result_hooks(self, dies):
        for claim in self.journal.claim_results(3, LEASE):
            self.result_hooks_run.add(claim.id)
            if dies:
                self.results.append(claim)
            else:
                self.journal.finish_event(claim)

    @precondition(lambda self: self.results)
    @rule()
    def finish_late(self):
        """Somebody else may have run the result hook meanwhile, or be running it."""
        self.journal.finish_event(self.results.pop())

    @invariant()
    def every_pair_has_one_owner(self):
        assert_owned_once()
        assert_nothing_lost(self.expected)

    def teardown(self):
        """Whatever happened before: in the end every pair is settled and every event finished."""
        try:
            self.settle_everything()
            assert not Delivery.objects.waiting().exists()
            assert not Batch.objects.exists()
            assert not Event.objects.filter(finished_at=None).exists()
            found = {Pair(*row) for row in Delivery.objects.values_list("event_id", "hook_id")}
            assert found == self.expected
            assert self.loud <= self.result_hooks_run
        finally:
            for model in (Delivery, Batch, Event, Hook):
                model.objects.all().delete()

    def settle_everything(self):
        for _ in range(100):
            make_due(Event)
            rest = self.journal.claim_events(100, LEASE)
            while rest:
                rest = self.slice(rest, 100, 100)
            self.sweep(100)
            self.retry(100, 100)
            for ring in self.rings:
                claim = self.journal.claim_batch(ring, LEASE)
                if claim is not None:
                    ending = (BAD, "dead") if claim.given_up else (GOOD, "succeeded")
                    outcomes = [settled(one, *ending) for one in claim.owed]
                    self.journal.flush(claim.ring, outcomes, done=True)
            self.rings = []
            self.run_result_hooks(dies=False)
            if not Event.objects.filter(finished_at=None).exists() and not Batch.objects.exists():
                return


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", journal_kinds())
def test_any_interleaving_keeps_the_invariant_and_settles_everything(kind, db):
    owner = get_user_model().objects.create(username="ada")
    journal = Journal("default") if kind == "orm" else get_journal()
    machine = type("Machine", (Interleaving,), {"journal": journal, "owner": owner})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=checks,
            derandomize=True,
            database=None,
        ),
    )
