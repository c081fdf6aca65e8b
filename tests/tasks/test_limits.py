"""Rate limits, circuits and crowded hosts, over real workers."""

import pytest
from django.db import transaction

from doh.models import Delivery, Event, Hook
from doh_tasks.limits import circuits
from tests.app.models import Vehicle
from tests.receiver import Receiver
from tests.workers import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def other():
    """A second host."""
    with Receiver() as receiver:
        yield receiver


def all_succeeded():
    return (
        not Delivery.objects.exclude(status="succeeded").exists()
        and not Event.objects.filter(finished_at=None).exists()
    )


def test_what_is_over_a_limit_is_deferred_without_an_attempt_and_delivered_in_the_end(
    bus, hook_on, receiver, workers
):
    hook_on(bus, rate_limit="1/s")
    hook_on(bus, target=receiver.url("/free"))
    running = workers().all()
    with transaction.atomic():  # At once: who comes later waits for less.
        for _ in range(10):
            bus.save()
    held = []

    def done():
        held.extend(Delivery.objects.exclude(deferred_at=None).values_list("attempts", "granted"))
        return Delivery.objects.count() == 20 and all_succeeded()

    running.until(done, "element")
    assert set(held) == {(0, 1)}
    assert set(Delivery.objects.values_list("attempts", "pending")) == {(1, False)}
    assert len(receiver.posts) == 20


def test_a_circuit_opens_is_probed_and_closes(bus, hook_on, receiver, workers, redis_url, settings):
    for number in range(6):
        hook_on(bus, target=receiver.url(f"/fail/1/{number}"))
    breaker = {"pause": 4, "longest_pause": 4}
    running = workers(
        HOOK_CIRCUIT_BREAKER=breaker,
        HOOK_RETRY_SCHEDULE=[0, 0.1, 0.1],
        # Those that ask while a probe is on its way come back when it must be over.
        HOOK_TOTAL_TIMEOUT=2,
    ).all()
    settings.HOOK_REDIS_URL = redis_url
    bus.save()
    hosts, deferrals = set(), set()

    def done():
        hosts.update(circuit.host for circuit in circuits() or ())
        waiting = Delivery.objects.filter(detail="the circuit to the host is open")
        deferrals.update(waiting.values_list("attempts", flat=True))
        return Delivery.objects.count() == 6 and all_succeeded()

    running.until(done, "element")
    assert (hosts, deferrals) == ({receiver.url("/").split("/")[2]}, {1})
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {2}
    assert len(receiver.posts) == 12
    wait_until(lambda: circuits() == [])


def test_a_host_that_hangs_does_not_hold_up_the_others(bus, user, receiver, other, workers):
    def hooks(number, target):
        Hook.objects.bulk_create(
            [Hook(user=user, content_object=bus, target=target) for _ in range(number)]
        )

    hooks(60, receiver.url("/hold/"))
    hooks(30, other.url("/"))
    running = workers(
        HOOK_MAX_IN_FLIGHT=20, HOOK_MAX_IN_FLIGHT_PER_HOST=4, HOOK_BATCH_SIZE=10
    ).all()
    bus.save()
    healthy = Delivery.objects.filter(status="succeeded")
    running.until(lambda: healthy.count() == 30, "element")
    assert receiver.at_once > 0
    assert {post.path for post in receiver.posts} == {"/hold/"}
    assert not Delivery.objects.filter(
        host=receiver.url("/").split("/")[2], attempts__gt=0
    ).exists()
    receiver.release()
    running.until(all_succeeded, "element")
    assert receiver.most_at_once <= 4 * 2
