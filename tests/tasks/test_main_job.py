"""The main job over real workers; also run with RabbitMQ as the broker."""

import json

import pytest
from django.contrib.auth import get_user_model
from standardwebhooks import Webhook

from doh.deliverers import deliver_hook_using_task, deliver_hooks_using_task
from doh.models import Batch, Delivery, Event, Hook
from doh.names import COLLECT, DELIVER_BATCH
from doh_tasks import collection
from doh_tasks.queues import COLLECTION_QUEUE, DEAD_LETTER_QUEUE, ELEMENT_QUEUE, TASK_ROUTES
from tests.app.models import Parcel, Vehicle
from tests.celery_app import app
from tests.workers import COLLECTION, ELEMENT, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]


def is_settled():
    open_events = Event.objects.filter(finished_at=None)
    return not (open_events.exists() or Delivery.objects.waiting().exists())


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def test_the_task_names_are_a_fixed_set():
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if name.startswith("doh_tasks.")}
    assert ours == set(TASK_ROUTES)


def test_a_saved_object_reaches_its_hooks(bus, hook_on, receiver, workers):
    good = hook_on(bus)
    hook_on(bus, target=receiver.url("/fail/2/x"))
    hook_on(bus, target=receiver.url("/status/410"))
    hook_on(bus, target=receiver.url("/status/500"))
    hook_on(bus, target="http://127.0.0.1:1/")
    running = workers(HOOK_RETRY_SCHEDULE=[0, 0.1, 0.1]).all()
    bus.save()
    running.until(lambda: Event.objects.count() == 1 and is_settled(), "element")
    assert list(
        Delivery.objects.order_by("hook_id").values_list("status", "attempts", "status_code")
    ) == [
        ("succeeded", 1, 200),
        ("succeeded", 3, 200),
        ("cancelled", 1, 410),
        ("dead", 3, 500),
        ("dead", 3, None),
    ]
    assert Hook.objects.filter(disabled_reason__contains="410").count() == 1
    (post,) = (post for post in receiver.posts if post.path == "/")
    assert Webhook(good.secret).verify(post.body, post.headers) == {}
    assert len({post.headers["webhook-id"] for post in receiver.posts}) == 1
    assert not Batch.objects.exists()


def test_a_few_hooks_may_be_served_by_the_process_that_collects(bus, hook_on, receiver, workers):
    hooks = [hook_on(bus, target=receiver.url(f"/{n}")) for n in range(3)]
    running = workers(HOOK_DELIVER_WHERE_COLLECTED=True)
    running.worker("collection", COLLECTION)
    bus.save()
    running.until(lambda: Event.objects.exists() and is_settled(), "collection")
    assert Delivery.objects.filter(status="succeeded").count() == len(hooks)
    assert sorted(post.path for post in receiver.posts) == ["/0", "/1", "/2"]


def test_a_worker_that_takes_all_queues_serves_them_without_a_message_to_itself(
    bus, hook_on, receiver, workers
):
    hook_on(bus)
    running = workers()
    running.worker("all", f"{COLLECTION},{ELEMENT}", "-P", "threads", "-c", "4")
    bus.save()
    running.until(lambda: Event.objects.exists() and is_settled(), "all")
    assert len(receiver.posts) == 1
    log = running.log("all").partition(" ready.")[2]
    assert COLLECT in log
    assert DELIVER_BATCH not in log


@pytest.mark.parametrize(
    ("wanted", "queues", "may"),
    [
        (None, [COLLECTION_QUEUE, ELEMENT_QUEUE], True),
        (None, [COLLECTION_QUEUE], False),
        (True, [COLLECTION_QUEUE], True),
        (False, [COLLECTION_QUEUE, ELEMENT_QUEUE], False),
    ],
)
def test_a_worker_that_collects_alone_sends_only_if_the_settings_say_so(
    settings, monkeypatch, wanted, queues, may
):
    settings.HOOK_DELIVER_WHERE_COLLECTED = wanted
    monkeypatch.setattr(app.amqp.queues, "_consume_from", None)
    app.amqp.queues.select(queues)
    assert collection._may_send() is may


def test_dead_letters_are_told_of_on_their_queue(bus, hook_on, receiver, workers):
    hook = hook_on(bus, target=receiver.url("/status/500"))
    workers(HOOK_RETRY_SCHEDULE=[0]).all()
    bus.save()
    wait_until(lambda: Delivery.objects.dead().exists())
    messages = []

    def read():
        with app.connection_for_read() as connection:
            queue = connection.SimpleQueue(app.amqp.queues[DEAD_LETTER_QUEUE])
            try:
                message = queue.get(timeout=1)
            except queue.Empty:
                return False
            message.ack()
            messages.append(message.payload[0])
        return True

    wait_until(read)
    dead = Delivery.objects.get()
    assert messages == [[[[dead.pk, dead.event_id, hook.pk, "500 Internal Server Error"]]]]


def test_result_hooks_of_named_classes_run_in_the_workers(
    bus, hook_on, receiver, workers, settings
):
    settings.HOOK_COLLECTION_DELIVERER = "tests.tasks.deliverers.Remarking.delay"
    hooks = [hook_on(bus) for _ in range(3)]
    running = workers(
        HOOK_COLLECTION_DELIVERER="tests.tasks.deliverers.Remarking.delay",
        HOOK_ELEMENT_DELIVERER="tests.tasks.deliverers.Looking.delay",
        HOOK_BATCH_SIZE=1,
    ).all()
    bus.save()
    running.until(lambda: Event.objects.count() == 1 and is_settled(), "collection")
    remarks = [name for name in Vehicle.objects.values_list("name", flat=True) if name != "55"]
    running.until(lambda: Vehicle.objects.filter(name="looked 200").count() == 3, "element")
    assert f"told {len(hooks)}" in Vehicle.objects.values_list("name", flat=True)
    assert remarks.count(f"told {len(hooks)}") <= 1


def test_an_element_callable_of_the_project_runs_once_per_hook(bus, hook_on, workers):
    hooks = [hook_on(bus, target=f"http://{name}.invalid/") for name in ("a", "b")]
    running = workers(HOOK_ELEMENT_DELIVERER="tests.tasks.deliverers.own_element").all()
    bus.save()
    running.until(lambda: Event.objects.count() == 1 and is_settled(), "element")
    assert Vehicle.objects.filter(name__startswith="own ").count() == len(hooks)


def test_the_eventlet_task_delivers(hook_on, receiver, workers, settings):
    path = "doh.deliveres.deliver_hooks_using_eventlet_task"
    settings.HOOK_COLLECTION_DELIVERER = path
    parcel = Parcel.objects.create(code="a")
    for _ in range(20):
        hook_on(parcel)
    running = workers(HOOK_COLLECTION_DELIVERER=path).all()
    parcel.save()
    running.until(lambda: Event.objects.count() == 1 and is_settled(), "element")
    assert len(receiver.posts) == 20
    assert {json.loads(post.body)["hook"] for post in receiver.posts} == set(
        Hook.objects.values_list("pk", flat=True)
    )


def test_workers_ask_who_may_receive(bus, hook_on, receiver, workers):
    others = [
        get_user_model().objects.create(username="bob"),
        get_user_model().objects.create(username="gone", is_active=False),
    ]
    hook_on(bus)
    for other in others:
        Hook.objects.create(user=other, content_object=bus, target=receiver.url("/other"))
    running = workers(HOOK_MAY_RECEIVE="tests.tasks.deliverers.ada_alone").all()
    bus.save()
    running.until(lambda: Event.objects.count() == 1 and is_settled(), "element")
    assert [post.path for post in receiver.posts] == ["/"]
    details = Delivery.objects.order_by("hook_id").values_list("status", "detail")
    assert list(details) == [
        ("succeeded", ""),
        ("cancelled", "its owner may not receive it"),
        ("cancelled", "its owner is inactive"),
    ]
    assert Vehicle.objects.filter(name="asked 2").count() == 1


def test_deliverers_can_be_called_directly(bus, hook_on, receiver, workers):
    hook_on(bus, action="washed")
    running = workers().all()
    deliver_hooks_using_task(
        app_label="app", object_name="Vehicle", instance_pk=bus.pk, action="washed", payload="[1]"
    )
    deliver_hook_using_task(receiver.url("/direct"), "[2]")
    running.until(lambda: len(receiver.posts) == 2, "element")
    assert {post.body for post in receiver.posts} == {b"[1]", b"[2]"}
    running.until(lambda: Delivery.objects.count() == 1, "element")
