"""A project without Celery: ``manage.py doh_work``."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from doh.models import Batch, Delivery, Event, Hook
from tests.app.models import Parcel, Vehicle
from tests.workers import ROOT, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def work():
    out = StringIO()
    call_command("doh_work", once=True, stdout=out)
    return out.getvalue()


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def left_behind(bus, settings, hook_on):
    """An event whose process died before it did anything."""
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_task"
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    hook_on(bus)
    bus.save()


def test_what_a_dead_process_left_is_delivered(left_behind, receiver):
    assert receiver.posts == []
    assert work() == "Everything due is done; 0 rows pruned.\n"
    assert len(receiver.posts) == 1


def test_a_batch_whose_process_died_is_delivered(left_behind, receiver, settings):
    from doh import conf
    from doh.fanout import fan_out
    from doh.journal import get_journal

    journal = get_journal()
    list(fan_out(journal, journal.claim_events(1, conf.lease())))
    Batch.objects.update(due_at=timezone.now() - timedelta(seconds=1), epoch=3)
    work()
    assert len(receiver.posts) == 1


def test_an_eventlet_projects_retries_go_by_eventlet(bus, hook_on, receiver, settings):
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_eventlet"
    settings.HOOK_RETRY_SCHEDULE = [0, 0]
    hook_on(bus, target=receiver.url("/fail/1/x"))
    bus.save()
    work()
    assert Delivery.objects.get().status == "succeeded"


def test_old_events_and_the_hooks_of_deleted_objects_are_pruned(hook_on, receiver, settings):
    parcel, other = Parcel.objects.create(code="a"), Parcel.objects.create(code="b")
    hook_on(parcel)
    kept = hook_on(other)
    parcel.save()
    long_ago = timezone.now() - timedelta(days=60)
    Event.objects.update(occurred_at=long_ago, finished_at=long_ago)
    parcel.delete()
    assert work() == "Everything due is done; 3 rows pruned.\n"
    assert Hook.objects.get() == kept
    assert list(Event.objects.values_list("action", flat=True)) == ["deleted"]


def test_a_secret_that_cannot_be_read_costs_no_attempt_and_no_neighbour(
    bus, hook_on, receiver, settings
):
    lost, good = hook_on(bus), hook_on(bus)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE doh_hook SET secret = 'x' WHERE id = %s", [lost.pk])
    bus.save()
    assert len(receiver.posts) == 1
    rows = dict(Delivery.objects.values_list("hook_id", "status"))
    assert rows == {lost.pk: "waiting", good.pk: "succeeded"}
    delivery = Delivery.objects.get(hook_id=lost.pk)
    assert delivery.attempts == 0
    assert "HOOK_ENCRYPTION_KEYS" in delivery.detail


def until_stopped():
    out = StringIO()
    call_command("doh_work", stdout=out)
    assert out.getvalue().splitlines()[-1] == "Stopped."


def test_a_signal_amid_a_flush_costs_no_outcome(left_behind, receiver):
    def told_to_stop(execute, sql, *rest):
        if "doh_delivery" in sql and sql.lstrip().startswith("INSERT"):
            signal.raise_signal(signal.SIGTERM)
        return execute(sql, *rest)

    with connection.execute_wrapper(told_to_stop):
        until_stopped()
    assert Delivery.objects.get().status == "succeeded"
    assert len(receiver.posts) == 1


def stop_once(target, payload):
    """An element deliverer during whose first call SIGTERM comes."""
    if not Delivery.objects.exists():
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_amid_a_batch_leaves_the_rest_to_others_at_once(bus, hook_on, settings):
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_task"
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    settings.HOOK_ELEMENT_DELIVERER = "tests.test_work.stop_once"
    settings.HOOK_BATCH_SIZE = 2
    for _ in range(4):
        hook_on(bus)
    bus.save()
    until_stopped()
    assert Delivery.objects.get().status == "succeeded"
    work()
    assert Delivery.objects.filter(status="succeeded").count() == 4


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_works_until_it_is_interrupted(name, left_behind, receiver):
    if connection.vendor == "sqlite":
        pytest.skip("another process needs a database server")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "DOH_TEST_DATABASE": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "django", "doh_work", "--every", "0.1", "--prune-every", "1"]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE) as process:
        wait_until(lambda: Delivery.objects.filter(status="succeeded").exists())
        process.send_signal(signal.Signals[name])
        assert b"Stopped." in process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert len(receiver.posts) == 1
