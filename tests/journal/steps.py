"""The steps of collectors and workers, in short."""

import threading
from datetime import timedelta

from django.db import connections
from django.utils import timezone

from doh.journal import Settled
from doh.letters import move_all
from doh.models import Delivery
from doh.retry import defer
from doh.types import Deferred, Outcome, Verdict
from tests.journal.invariant import assert_owned_once

LEASE = 60.0
DELIVERER = "doh.deliverers.base.HooksDeliverer"
GOOD = Outcome(Verdict.SUCCEEDED, status_code=200)
BAD = Outcome(Verdict.RETRY, "500 Internal Server Error", 500, elapsed=0.5)


def fan_out(journal, limit=100, size=100):
    rings, claims = [], journal.claim_events(1000, LEASE)
    while claims:
        pairs = journal.match(claims, limit)
        found, claims = journal.commit_slice(
            claims, pairs, limit, batch_size=size, lease=LEASE, queue_lease=600
        )
        rings += found
        assert_owned_once()
    return rings


def fan_out_at_once(journal, limit=100, most=100, size=100, deliverer=DELIVERER):
    found = journal.fan_out_at_once(deliverer, limit, most, batch_size=size, queue_lease=600)
    assert_owned_once()
    return found


def settled(owed, outcome=GOOD, status="succeeded", delay=None):
    return Settled(owed, outcome, status, owed.attempts + 1, delay)


def waiting(owed, delay=0.0):
    return settled(owed, BAD, "waiting", delay)


def deferred(owed, delay=0.0, slot=None, granted=0):
    wait = Deferred("the rate limit is reached", delay, slot, granted)
    return defer(owed, wait, [0, 86_400], "a.example")


def redrive(journal, **which):
    return sum(move_all(journal.redrive, Delivery.objects.filter(**which)))


def make_due(model):
    model.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(hours=1))


def together(*functions):
    """Run functions at once, each on a connection of its own; returns their results."""
    barrier = threading.Barrier(len(functions))
    results = [None] * len(functions)

    def run(place, function):
        try:
            barrier.wait(10)
            results[place] = function()
        except Exception as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=run, args=(place, function))
        for place, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    return results
