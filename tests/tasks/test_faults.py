"""Workers are killed, the broker forgets, messages come twice: nothing is lost."""

import signal
from collections import Counter

import pytest
from django.db import connection
from django.db.models import Sum

from doh.deliverers.celery import doorbell
from doh.journal import Journal, Ring
from doh.models import Batch, Delivery, Event, Hook
from tests.app.models import Vehicle
from tests.workers import COLLECTION, ELEMENT, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]

SHORT = {"HOOK_TOTAL_TIMEOUT": 1, "HOOK_LEASE": 4, "HOOK_QUEUE_LEASE": 4}


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def many(bus, user, receiver):
    """Creates many hooks on the bus, by path."""

    def make(number, path="/"):
        Hook.objects.bulk_create(
            [
                Hook(user=user, content_object=bus, target=receiver.url(f"{path}{index}"))
                for index in range(number)
            ],
            batch_size=2000,
        )

    return make


def settled(number):
    return lambda: Delivery.objects.filter(status="succeeded").count() == number


def sessions():
    """The database sessions of everybody else."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


@pytest.mark.parametrize("pool", [("-c", "1"), ("-P", "threads", "-c", "4")], ids=" ".join)
def test_workers_keep_their_connections_and_get_over_their_end(pool, bus, many, workers):
    many(1)
    running = workers()
    running.worker("collection", COLLECTION, "-c", "1")
    running.worker("element", ELEMENT, *pool)
    bus.save()
    running.until(settled(1), "element")
    before = sessions()
    bus.save()
    running.until(settled(2), "element")
    # That of the collection, that of the element's tasks, and that of its scribe.
    kept = before & sessions()
    assert len(kept) == 3
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM unnest(%s) AS pid", [list(kept)]
        )
    # Nobody sweeps here: what failed would wait for a long time.
    bus.save()
    running.until(settled(3), "element")


def test_a_message_that_comes_again_or_late_does_nothing(bus, many, broker, receiver, workers):
    many(20)
    running = workers(HOOK_BATCH_SIZE=5)
    running.worker("collection", COLLECTION)
    bus.save()
    wait_until(lambda: Batch.objects.count() == 4)
    rings = [Ring(*row) for row in Batch.objects.values_list("pk", "epoch")]
    for _ in range(3):
        doorbell.publish(rings)
    running.worker("element", ELEMENT, "-c", "2")
    running.until(settled(20), "element")
    doorbell.publish(rings)
    done = 16 + len(rings)
    running.until(lambda: running.log("element").count("succeeded in") == done, "element")
    held = ("doh.element", "doh.element_slow", "unacked_index")
    running.until(lambda: not broker.exists(*held), "element")
    assert running.log("element").count("succeeded in") == done
    assert len(receiver.posts) == 20


def test_a_broker_that_forgets_everything_loses_nothing(bus, many, broker, receiver, workers):
    running = workers(**SHORT, HOOK_RETRY_SCHEDULE=[0] + [1] * 20)
    running.worker("collection", COLLECTION)
    running.beat()
    many(50)
    bus.save()
    wait_until(Batch.objects.exists)
    broker.flushall()
    bus.save()
    running.worker("element", ELEMENT)
    running.until(settled(100), "element")


def test_a_killed_worker_leaves_only_the_remainder(bus, many, receiver, workers):
    many(20, "/ok/")
    many(20, "/hold/")
    running = workers(
        HOOK_TOTAL_TIMEOUT=5, HOOK_LEASE=8, HOOK_QUEUE_LEASE=8, HOOK_RETRY_SCHEDULE=[0] * 10
    ).all()
    bus.save()
    running.until(lambda: settled(20)() and receiver.at_once > 0, "element")
    running.kill("element")
    receiver.release()
    running.worker("element", ELEMENT)
    running.until(settled(40), "element")
    times = Counter(post.path for post in receiver.posts)
    assert {times[f"/ok/{index}"] for index in range(20)} == {1}


@pytest.mark.parametrize("options", [["-c", "2"], ["-P", "threads", "-c", "4"]])
def test_a_worker_that_is_asked_to_stop_hands_back_what_it_has_not_sent(
    options, bus, many, receiver, workers
):
    many(30, "/hold/")
    running = workers(HOOK_MAX_IN_FLIGHT=5, HOOK_TOTAL_TIMEOUT=2, HOOK_RETRY_SCHEDULE=[0, 0])
    running.worker("collection", COLLECTION)
    running.worker("element", ELEMENT, *options)
    bus.save()
    receiver.wait_for(lambda receiver: receiver.at_once >= 5, 60)
    running.processes["element"].send_signal(signal.SIGTERM)
    assert running.wait("element") == 0
    in_the_air = Delivery.objects.count()
    assert 5 <= in_the_air < 30
    assert set(Delivery.objects.values_list("status", flat=True)) == {"waiting"}
    assert Batch.objects.get().due_at <= Journal("default").now()
    receiver.release()
    running.worker("element", ELEMENT, *options)
    running.beat()
    running.until(settled(30), "element")
    assert len(receiver.posts) == 30 + in_the_air


def test_children_that_are_replaced_lose_nothing(bus, many, receiver, workers):
    many(40)
    running = workers(HOOK_BATCH_SIZE=5)
    running.worker("collection", COLLECTION)
    running.worker("element", ELEMENT, "-c", "1", "--max-tasks-per-child", "1")
    running.beat()
    bus.save()
    running.until(settled(40), "element")
    assert len(receiver.posts) == 40


@pytest.mark.timeout(1200)
def test_twenty_thousand_hooks_on_one_object_are_all_told(bus, many, receiver, workers):
    many(20_000)
    # The receiver answers some hundreds a second: more at once would only wait for their timeout.
    running = workers(HOOK_MAX_IN_FLIGHT=100).all()
    bus.save()
    running.until(settled(20_000), "element", timeout=900)
    assert len({post.path for post in receiver.posts}) == 20_000
    assert len(receiver.posts) == Delivery.objects.aggregate(made=Sum("attempts"))["made"]
    assert Event.objects.get().finished_at is not None
    assert not Batch.objects.exists()
