"""The inline deliverers: one conformance suite for both, then what each has of its own."""

import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks import Webhook

from doh.deliverers import (
    EventletHooksDeliverer,
    HookDeliverer,
    HooksDeliverer,
    deliver_hook,
)
from doh.deliverers.chores import work_once
from doh.models import Attempt, Batch, Delivery, Event, Hook
from tests import project
from tests.app.models import Parcel, Vehicle

pytestmark = [
    pytest.mark.django_db(transaction=True),
]

DELIVERERS = [
    "doh.deliverers.deliver_hooks",
    "doh.deliveres.deliver_hooks",
    "doh.deliverers.deliver_hooks_using_eventlet",
    "doh.deliveres.deliver_hooks_using_eventlet",
]


@pytest.fixture(params=DELIVERERS)
def deliverer(request, settings):
    """Each inline deliverer under each spelling."""
    settings.HOOK_COLLECTION_DELIVERER = request.param
    settings.HOOK_RETRY_SCHEDULE = [0, 60, 60]
    return request.param


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture(autouse=True)
def _fresh_project():
    project.reset()


def test_every_answer_comes_to_the_same_rows(deliverer, bus, hook_on, receiver):
    paths = ["/", "/status/410", "/status/500", "/redirect", "/status/503?retry-after=120"]
    hooks = [hook_on(bus, target=receiver.url(path)) for path in paths]
    bus.save()
    rows = Delivery.objects.order_by("hook_id").values_list("status", "attempts", "status_code")
    assert list(rows) == [
        ("succeeded", 1, 200),
        ("cancelled", 1, 410),
        ("waiting", 1, 500),
        ("waiting", 1, 302),
        ("waiting", 1, 503),
    ]
    assert Attempt.objects.count() == 4
    assert {one.host for one in Delivery.objects.all()} == {receiver.url("/").split("/")[2]}
    event = Event.objects.get()
    assert (event.pending, event.finished_at is None) == (0, False)
    assert not Batch.objects.exists()
    assert [hook.pk for hook in Hook.objects.exclude(disabled_at=None)] == [hooks[1].pk]
    slow = Delivery.objects.get(status_code=503)
    assert slow.due_at - slow.updated_at >= timedelta(seconds=119)
    assert "/elsewhere" not in [post.path for post in receiver.posts]


def test_a_receiver_can_verify_every_post(deliverer, bus, hook_on, receiver):
    hook = hook_on(bus)
    bus.save()
    (post,) = receiver.posts
    assert Webhook(hook.secret).verify(post.body, post.headers) == {}
    assert post.headers["webhook-id"] == Event.objects.get().uid
    assert post.headers["content-type"] == "application/json"
    assert post.headers["user-agent"].startswith("django-object-hooks/")


def test_a_receiver_can_verify_what_a_machine_with_a_wrong_clock_sends(
    deliverer, bus, hook_on, receiver, monkeypatch
):
    hook = hook_on(bus)
    right = time.time
    monkeypatch.setattr("time.time", lambda: right() + 600)
    bus.save()
    (post,) = receiver.posts
    assert Webhook(hook.secret).verify(post.body, post.headers) == {}


def test_a_dead_target_does_not_stop_the_others(deliverer, bus, hook_on, receiver):
    hook_on(bus, target="http://127.0.0.1:1/")
    hook_on(bus, target="http://no-such-host.invalid/")
    for bad in ("no url at all", "http://127.1/"):
        Hook.objects.filter(pk=hook_on(bus).pk).update(target=bad)
    hook_on(bus)
    bus.save()
    assert len(receiver.posts) == 1
    details = dict(Delivery.objects.values_list("detail", "status"))
    assert details == {
        "the target refused the connection": "waiting",
        "the target's host name can't be resolved": "waiting",
        "the target has a space or a control character in it:"
        " percent-encode it or take it out (0x20)": "dead",
        "the host is no address: write IPv4 as four decimal numbers without leading zeros,"
        " IPv6 in brackets": "dead",
        "": "succeeded",
    }
    assert Hook.objects.exclude(disabled_at=None).count() == 2


def test_retries_are_spread_and_carry_the_same_id_and_body(deliverer, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0, 0, 0]
    parcel = Parcel.objects.create(code="a")
    hook_on(parcel, target=receiver.url("/fail/2/x"))
    parcel.save()
    work_once()
    assert len(receiver.posts) == 3
    assert len({(post.headers["webhook-id"], post.body) for post in receiver.posts}) == 1
    assert Delivery.objects.get().attempts == 3
    assert Delivery.objects.get().status == "succeeded"


def test_a_delivery_without_attempts_left_is_a_dead_letter(
    deliverer, bus, hook_on, receiver, settings
):
    settings.HOOK_RETRY_SCHEDULE = [0, 0, 0]
    hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    work_once()
    assert len(receiver.posts) == 3
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("dead", 3)
    assert list(delivery.tries.values_list("number", flat=True)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda hooks: hooks.delete(), "the hook is gone"),
        (lambda hooks: hooks.disable("by hand", timezone.now()), "the hook is disabled"),
        (lambda hooks: hooks.update(expires_at=timezone.now()), "the hook has expired"),
    ],
)
def test_a_hook_that_ends_meanwhile_cancels_what_it_was_owed(
    change, detail, deliverer, bus, hook_on, receiver, settings
):
    settings.HOOK_RETRY_SCHEDULE = [0, 0]
    hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    change(Hook.objects.all())
    work_once()
    assert len(receiver.posts) == 1
    assert Delivery.objects.values_list("status", "detail").get() == ("cancelled", detail)


def test_no_post_is_made_inside_a_transaction(deliverer, bus, hook_on, receiver, monkeypatch):
    hook_on(bus)
    inside = []
    plain = receiver.note
    monkeypatch.setattr(
        receiver, "note", lambda post: (inside.append(connection.in_atomic_block), plain(post))
    )
    with transaction.atomic():
        bus.save()
        assert receiver.posts == []
    assert inside == [False]


def test_an_event_that_was_claimed_by_somebody_else_is_left_alone(
    deliverer, bus, hook_on, receiver
):
    hook_on(bus)
    with transaction.atomic():
        bus.save()
        Event.objects.update(epoch=1)
    assert receiver.posts == []


# Direct calls


def call(deliver, instance, **fields):
    deliver(
        app_label="app",
        object_name="Vehicle",
        instance_pk=instance.pk,
        **{"action": "washed", "payload": None, **fields},
    )


@pytest.mark.parametrize("kind", [HooksDeliverer, EventletHooksDeliverer])
def test_a_collection_deliverer_called_directly_records_an_event(kind, bus, hook_on, receiver):
    hook_on(bus, action="washed")
    call(kind.deliver, bus)
    call(kind.deliver, bus, payload='{"a": 1}')
    call(kind.deliver, bus, payload={"b": 2})
    call(kind.deliver, bus, action="unheard")
    assert [post.body for post in receiver.posts] == [b"{}", b'{"a": 1}', b'{"b":2}']
    assert Event.objects.count() == 3


def test_a_direct_call_for_an_object_that_is_gone_says_what_it_can(bus, hook_on, receiver):
    hook_on(bus, action="washed")
    Vehicle.objects.all()._raw_delete("default")
    call(HooksDeliverer.deliver, bus)
    assert receiver.posts[0].body == b"{}"


def test_a_direct_call_inside_a_transaction_waits_for_the_commit(bus, hook_on, receiver):
    hook_on(bus, action="washed")
    with transaction.atomic():
        call(HooksDeliverer.deliver, bus)
        assert receiver.posts == []
    assert len(receiver.posts) == 1


def test_an_element_deliverer_called_directly_makes_one_post_that_is_not_owed(receiver):
    response = deliver_hook(receiver.url("/status/500"), "{}")
    assert response.status_code == 500
    assert deliver_hook("http://127.0.0.1:1/", "{}") is None
    (post,) = receiver.posts
    assert not [name for name in post.headers if name.startswith(("webhook-", "doh-"))]
    assert not Delivery.objects.exists()


def test_an_element_subclass_called_directly_sees_its_response(receiver):
    project.Element.deliver(receiver.url("/"), "{}")
    assert [name for name, _ in project.calls] == ["element"]
    assert issubclass(project.Element, HookDeliverer)


# Eventlet


def test_eventlet_sends_many_at_once_without_patching_the_process(bus, user, receiver, settings):
    settings.HOOK_COLLECTION_DELIVERER = DELIVERERS[2]
    for number in range(50):
        Hook.objects.create(user=user, content_object=bus, target=receiver.url(f"/hold/{number}"))
    receiver.when(lambda: receiver.at_once >= 15, receiver.release)
    bus.save()
    assert receiver.most_at_once >= 15
    assert Delivery.objects.filter(status="succeeded").count() == 50
    from eventlet.patcher import is_monkey_patched

    assert not any(is_monkey_patched(name) for name in ("socket", "thread", "time", "select"))


def test_eventlet_never_has_more_under_way_than_it_may(bus, user, receiver, settings):
    settings.HOOK_COLLECTION_DELIVERER = DELIVERERS[2]
    settings.HOOK_EVENTLET_CONCURRENCY = 3
    for number in range(20):
        Hook.objects.create(user=user, content_object=bus, target=receiver.url(f"/{number}"))
    bus.save()
    assert len(receiver.posts) == 20
    assert receiver.most_at_once <= 3


def test_only_the_greenlet_that_saved_touches_the_database(bus, hook_on, settings, receiver):
    from eventlet import getcurrent

    settings.HOOK_COLLECTION_DELIVERER = DELIVERERS[2]
    for _ in range(5):
        hook_on(bus)
    seen = set()

    def watch(execute, *args):
        seen.add(getcurrent())
        return execute(*args)

    with connection.execute_wrapper(watch):
        bus.save()
    assert seen == {getcurrent()}


def test_eventlet_is_imported_by_its_deliverer_only():
    code = (
        "import sys, django; django.setup(); import doh.deliverers.chores, doh.testing;"
        "print([name for name in ('eventlet', 'celery', 'pycurl') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_thread_that_delivered_with_eventlet_first_can_be_joined():
    program = (
        "import threading; from doh.deliverers.eventlet import send_with_eventlet as send;"
        "thread = threading.Thread(target=lambda: list(send([])), daemon=True);"
        "thread.start(); thread.join(30); print(thread.is_alive())"
    )
    script = f"import django; django.setup(); {program}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "False\n", done.stdout + done.stderr
