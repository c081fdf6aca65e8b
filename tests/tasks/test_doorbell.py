"""Ringing from the web process: few messages, ids only, and no waiting for a broker in trouble."""

import base64
import json
import os
import signal
import socket
import subprocess
from time import monotonic
from types import SimpleNamespace

import pytest
from django.db import OperationalError, transaction
from services import free_port, valkey

from doh.deliverers import celery as ringing
from doh.deliverers import deliver_hook_using_task
from doh.deliverers.chores import work_once
from doh.deliverers.resolve import element
from doh.journal import Ring
from doh.models import Batch, Event
from doh_tasks import collection
from tests.app.models import Depot
from tests.celery_app import app

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def depot(hook_on, settings):
    # Whoever rings twice within a period is to be seen, however long the test takes.
    settings.HOOK_DOORBELL_PERIOD = 3600
    made = Depot.objects.create(name="marked-payload")
    hook_on(made, target="http://127.0.0.1:1/?marked-query")
    return made


def messages(broker):
    names = [
        "doh.collection",
        "doh.element",
        "doh.element_slow",
        "doh.maintenance",
        "doh.dead_letter",
        "celery",
    ]
    return [json.loads(text) for name in names for text in broker.lrange(name, 0, -1)]


@pytest.fixture
def only_redis(rabbit):
    if rabbit:
        pytest.skip("reads Redis lists")


@pytest.mark.usefixtures("only_redis")
def test_many_saves_ring_once_per_period(depot, broker):
    with transaction.atomic():
        for _ in range(100):
            depot.save()
    assert len(messages(broker)) == 1
    for _ in range(100):
        depot.save()
    assert len(messages(broker)) <= 2
    assert Event.objects.count() == 200


@pytest.mark.usefixtures("only_redis")
@pytest.mark.parametrize("claim", [1, 500])
def test_a_collection_to_which_events_never_cease_to_come_takes_turns(
    depot, broker, settings, monkeypatch, claim
):
    """One event in the ledger makes the next; with a claim of one, all of them at once."""
    monkeypatch.setattr(collection, "TURN", 0.0)
    settings.HOOK_DOORBELL_PERIOD = 0.001
    monkeypatch.setattr(collection, "CLAIM", claim)
    depot.save()
    (event,) = Event.objects.all()
    pass_on = collection._pass_on

    def and_another(*args, **options):
        event.pk, event.uid = None, f"evt_{Event.objects.count()}"
        if Event.objects.count() < 50:
            event.save()
        pass_on(*args, **options)

    monkeypatch.setattr(collection, "_pass_on", and_another)
    before = len(broker.lrange("doh.collection", 0, -1))
    collection.collect()
    assert Event.objects.count() < 50
    assert len(broker.lrange("doh.collection", 0, -1)) == before + 1


@pytest.mark.parametrize("claimed", [False, True], ids=["fresh", "claimed before"])
def test_at_the_end_of_a_turn_only_what_would_never_have_its_own_is_claimed(
    depot, settings, monkeypatch, claimed
):
    """What is due first, and not taken with what is fresh, waits for no stream to cease."""
    monkeypatch.setattr(collection, "TURN", 0.0)
    monkeypatch.setattr(collection, "CLAIM", 1)
    monkeypatch.setattr(collection, "BACKLOG", 1)
    for _ in range(4):
        depot.save()
    first = Event.objects.order_by("due_at")[:1].get()
    if claimed:
        Event.objects.filter(pk=first.pk).update(epoch=1)
    collection.collect()
    first.refresh_from_db()
    assert first.fanned_at is not None
    assert Event.objects.filter(fanned_at=None, epoch=0).count() == (1 if claimed else 2)


def test_events_that_come_one_after_the_other_are_gathered(depot, monkeypatch):
    """The first is passed on at once, and what came meanwhile; then many at a time."""
    passed: list[int] = []

    def and_two_more(journal, rings, **_):
        passed.append(sum(len(pairs) for ring in rings for _, pairs in batch(ring).pairs))
        for _ in range(2 if len(passed) < 3 else 0):
            depot.save()

    def gather(seconds):
        for _ in range(20):
            depot.save()
        monkeypatch.setattr(depot, "save", lambda: None)

    def batch(ring):
        return Batch.objects.get(pk=ring.batch_id)

    monkeypatch.setattr(collection, "_pass_on", and_two_more)
    monkeypatch.setattr(collection, "time", SimpleNamespace(monotonic=monotonic, sleep=gather))
    depot.save()
    collection.collect()
    assert passed == [1, 2, 22]


@pytest.mark.parametrize(("room", "passed"), [(10, [2, 10]), (5, [2, 2, 2, 2, 2, 2])], ids=str)
def test_a_backlog_is_fanned_out_by_many_events_at_a_time_or_by_as_many_as_fit(
    depot, settings, monkeypatch, room, passed
):
    """None of them is claimed for it, which would take longer."""
    settings.HOOK_SLICE_SIZE = room
    monkeypatch.setattr(collection, "CLAIM", 2)
    monkeypatch.setattr(collection, "BACKLOG", 10)
    monkeypatch.setattr(collection, "TURN", 60.0)
    found: list[int] = []
    monkeypatch.setattr(collection, "_pass_on", lambda *_, **__: found.append(0))
    with transaction.atomic():
        for _ in range(12):
            depot.save()
    collection.collect()
    assert [sum(map(len, hooks_of(batch))) for batch in Batch.objects.order_by("pk")] == passed
    assert len(found) == len(passed)
    assert not Event.objects.exclude(epoch=0).exists()


def test_the_first_event_is_work_for_several_workers_and_those_that_follow_go_together(
    depot, hook_on, monkeypatch
):
    """Nobody else has anything to do at first; afterwards larger batches cost less."""
    monkeypatch.setattr(collection, "FIRST_BATCH", 2)
    passed: list[int] = []

    def pass_on(_journal, rings, **_):
        if not passed:
            depot.save()
            depot.save()
        passed.append(len(rings))

    monkeypatch.setattr(collection, "_pass_on", pass_on)
    for _ in range(2):
        hook_on(depot, target="http://127.0.0.1:1/")
    depot.save()
    collection.collect()
    assert passed == [2, 1]
    assert [sum(map(len, hooks_of(one))) for one in Batch.objects.order_by("pk")] == [2, 1, 6]


def test_no_batch_is_larger_than_the_project_wants_it(depot, hook_on, settings):
    settings.HOOK_BATCH_SIZE = 2
    hook_on(depot, target="http://127.0.0.1:1/")
    hook_on(depot, target="http://127.0.0.1:1/")
    depot.save()
    collection.collect()
    assert [sum(map(len, hooks_of(one))) for one in Batch.objects.order_by("pk")] == [2, 1]


def hooks_of(batch):
    return [hooks for _, hooks in batch.pairs]


@pytest.mark.usefixtures("only_redis")
def test_an_event_that_comes_during_the_first_look_needs_no_message_and_is_not_forgotten(
    depot, broker, monkeypatch
):
    depot.save()
    bell = broker.get(ringing.DOORBELL_KEY).decode()
    hanging = []

    def pass_on(*_, **__):
        hanging.append(broker.exists(ringing.DOORBELL_KEY))
        if len(hanging) == 1:
            depot.save()

    monkeypatch.setattr(collection, "_pass_on", pass_on)
    collection.collect(bell)
    assert hanging == [1, 0]
    assert len(messages(broker)) == 1
    assert not Event.objects.filter(fanned_at=None).exists()


@pytest.mark.usefixtures("only_redis")
def test_a_collection_that_fails_does_not_leave_the_doorbell_hanging(depot, broker, monkeypatch):
    def fail(*_, **__):
        raise OperationalError

    monkeypatch.setattr(collection, "_collect_at_once", fail)
    depot.save()
    with pytest.raises(OperationalError):
        collection.collect(broker.get(ringing.DOORBELL_KEY).decode())
    assert not broker.exists(ringing.DOORBELL_KEY)


@pytest.mark.usefixtures("only_redis")
def test_a_ring_after_the_doorbell_was_answered_is_heard(depot, broker):
    depot.save()
    ringing.doorbell.answered(broker.get(ringing.DOORBELL_KEY).decode())
    depot.save()
    assert len(messages(broker)) == 2


@pytest.mark.usefixtures("only_redis")
def test_an_old_message_does_not_answer_a_new_doorbell(depot, broker):
    depot.save()
    old = broker.get(ringing.DOORBELL_KEY).decode()
    broker.delete(ringing.DOORBELL_KEY)
    for _ in range(5):
        depot.save()
        ringing.doorbell.answered(old)
    assert len(messages(broker)) == 2


@pytest.mark.usefixtures("only_redis")
def test_messages_hold_ids_and_nothing_else(depot, broker):
    depot.save()
    ringing.doorbell.publish([Ring(7, 3)])
    deliver_hook_using_task("http://127.0.0.1:1/marked-target", "marked-body")
    found = messages(broker)
    assert len(found) == 3
    bodies = [json.loads(base64.b64decode(message["body"]))[0] for message in found]
    assert [broker.get(ringing.DOORBELL_KEY).decode()] in bodies
    assert [7, 3] in bodies
    everything = json.dumps(found) + "".join(map(str, bodies))
    assert "marked" not in everything
    assert "whsec" not in everything
    assert b"marked" not in b"".join(broker.get(key) for key in broker.keys("doh:post:*"))


@pytest.mark.usefixtures("only_redis")
def test_an_unattached_post_can_be_taken_once(broker):
    deliver_hook_using_task("http://127.0.0.1:1/", "{}")
    (token,) = [key.decode().removeprefix("doh:post:") for key in broker.keys("doh:post:*")]
    path = "doh.deliverers.base.HookDeliverer"
    assert ringing.doorbell.take_post(token) == (path, "http://127.0.0.1:1/", "{}")
    assert ringing.doorbell.take_post(token) is None
    assert element().queued


class Trouble:
    """A broker in one kind of trouble, at a URL."""

    def __init__(self, kind, folder):
        self.kind, self.folder, self.port = kind, folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self):
        if self.kind == "black hole":
            self._sock = socket.create_server(("127.0.0.1", self.port), backlog=1)
        elif self.kind == "blocked":
            self._valkey = valkey(self.folder, self.port)
            self._valkey.__enter__()
            found = subprocess.run(
                ["pgrep", "-f", f"127.0.0.1:{self.port}"],
                capture_output=True,
                text=True,
                check=True,
            )
            self._pid = int(found.stdout.split()[0])
            os.kill(self._pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        if self.kind == "black hole":
            self._sock.close()
        elif self.kind == "blocked":
            os.kill(self._pid, signal.SIGCONT)
            self._valkey.__exit__(None, None, None)


@pytest.mark.parametrize("kind", ["down", "black hole", "blocked"])
def test_a_broker_in_trouble_neither_fails_a_save_nor_loses_an_event(
    kind, depot, tmp_path, settings, receiver, hook_on, record_testsuite_property
):
    hook_on(depot)
    settings.HOOK_RING_TIMEOUT = 0.2
    with Trouble(kind, tmp_path / "valkey") as trouble:
        settings.HOOK_REDIS_URL = trouble.url
        healthy = app.conf.broker_url
        app.conf.broker_url = trouble.url
        try:
            started = monotonic()
            with transaction.atomic():
                for _ in range(100):
                    depot.save()
            for _ in range(100):
                depot.save()
            record_testsuite_property(
                f"seconds for 200 saves, broker {kind}", monotonic() - started
            )
        finally:
            app.conf.broker_url = healthy
    assert Event.objects.count() == 200
    assert Event.objects.filter(due_at__isnull=False).count() == 200
    work_once()
    assert len(receiver.posts) == 200


def test_nobody_rings_for_a_while_after_ringing_failed(depot, settings, monkeypatch, caplog):
    monkeypatch.setattr(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    depot.save()
    depot.save()
    assert caplog.text.count("Could not ring") == 1
    assert not ringing.doorbell.publish([Ring(1, 0)])


def test_what_a_forked_child_rings_goes_over_its_own_connections(depot, broker):
    depot.save()
    before = ringing.doorbell._producer
    child = os.fork()
    if child == 0:
        ringing.doorbell.answered("")
        os._exit(0 if ringing.doorbell._producer is not before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ringing.doorbell.answered("")
    depot.save()
    assert ringing.doorbell._producer is before
