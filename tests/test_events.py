from contextlib import suppress
from itertools import pairwise
from urllib.parse import unquote

import pytest
from django.core import serializers
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import doh
from doh.events import send_event, send_events
from doh.models import Event, Hook, new_uid
from doh.receivers import listen
from doh.signals import hook_event
from tests.app.models import Depot, Parcel, Remote, Tram, Unlisted, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


def hand_to_sync():
    """Have the recorded events delivered by the default deliverer, now."""
    due = Event.objects.get().occurred_at
    Event.objects.update(deliverer="doh.deliverers.base.HooksDeliverer", due_at=due)


def actions():
    return list(Event.objects.order_by("pk").values_list("action", flat=True))


@pytest.fixture
def bus(user, receiver):
    """A vehicle with a hook for everything."""
    vehicle = Vehicle.objects.create(name="55")
    Hook.objects.create(user=user, content_object=vehicle, action="*", target=receiver.url("/bus"))
    return vehicle


def test_saves_deletes_and_events_of_ones_own_are_told(bus, receiver):
    key = str(bus.pk)
    bus.save()
    hook_event.send(sender=Vehicle, instance=bus, action="crashed", payload={"speed": 50})
    bus.delete()
    assert [post.headers["doh-event"] for post in receiver.posts] == [
        "app.vehicle.changed",
        "app.vehicle.crashed",
        "app.vehicle.deleted",
    ]
    assert {post.headers["doh-object"] for post in receiver.posts} == {key}
    numbers = [int(post.headers["doh-sequence"]) for post in receiver.posts]
    assert numbers == sorted(set(numbers))


def test_a_hook_hears_the_action_it_asked_for_and_no_other(hook_on, receiver):
    vehicle = Vehicle.objects.create(name="55")
    hook_on(vehicle, target=receiver.url("/changed"))
    hook_on(vehicle, target=receiver.url("/deleted"), action="deleted")
    vehicle.save()
    vehicle.delete()
    assert [post.path for post in receiver.posts] == ["/changed", "/deleted"]


def test_a_hook_on_a_model_hears_of_every_object(user, receiver):
    Hook.objects.create(user=user, model=Vehicle, action="created", target=receiver.url("/"))
    Vehicle.objects.create(name="1")
    Vehicle.objects.create(name="2")
    assert len(receiver.posts) == 2


def test_a_hook_is_not_told_of_what_came_before_it(bus, receiver, settings, hook_on):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.nothing_now"
    bus.save()
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks"
    hand_to_sync()
    hook_on(bus, target=receiver.url("/late"))
    from doh.deliverers.chores import work_once

    work_once()
    assert [post.path for post in receiver.posts] == ["/bus"]


def test_keys_of_any_kind_work(hook_on, receiver):
    depot, parcel = Depot.objects.create(name="north"), Parcel.objects.create(code="a b\né")
    for thing in (depot, parcel):
        hook_on(thing)
        thing.save()
    sent = [post.headers["doh-object"] for post in receiver.posts]
    assert sent == [str(depot.pk), "a%20b%0A%C3%A9"]
    assert unquote(sent[1]) == parcel.pk


def test_a_proxy_counts_as_its_concrete_model(bus, receiver, hook_on):
    tram = Tram.objects.get(pk=bus.pk)
    tram.save()
    hook_on(tram, target=receiver.url("/tram"))
    bus.save()
    assert [post.path for post in receiver.posts] == ["/bus", "/bus", "/tram"]
    assert {post.headers["doh-event"] for post in receiver.posts} == {"app.vehicle.changed"}


def test_loading_a_fixture_is_no_event(bus):
    (loaded,) = serializers.deserialize("json", serializers.serialize("json", [bus]))
    loaded.save()
    assert actions() == []


def test_nothing_is_told_of_what_rolls_back(bus, receiver):
    with suppress(RuntimeError), transaction.atomic():
        bus.save()
        raise RuntimeError
    assert (actions(), receiver.posts) == ([], [])


def test_a_savepoint_that_rolls_back_takes_only_its_own_events_along(bus, receiver, settings):
    with transaction.atomic():
        with suppress(RuntimeError), transaction.atomic():
            bus.save()
            raise RuntimeError
        hook_event.send(sender=Vehicle, instance=bus, action="kept", payload={})
        with suppress(RuntimeError), transaction.atomic():
            bus.save()
            raise RuntimeError
    assert actions() == ["kept"]
    assert [post.headers["doh-event"] for post in receiver.posts] == ["app.vehicle.kept"]


def test_nothing_is_sent_before_the_commit(bus, receiver):
    with transaction.atomic():
        bus.save()
        assert receiver.posts == []
    assert len(receiver.posts) == 1


def test_save_and_event_are_one_transaction(bus, monkeypatch):
    monkeypatch.setattr("doh.outbox.write", lambda *_, **__: _fail())
    bus.name = "66"
    with pytest.raises(IntegrityError):
        bus.save()
    bus.refresh_from_db()
    assert bus.name == "55"


def test_atomic_saves_can_be_switched_off(bus, monkeypatch, settings):
    settings.HOOK_ATOMIC_SAVES = False
    monkeypatch.setattr("doh.outbox.write", lambda *_, **__: _fail())
    bus.name = "66"
    with pytest.raises(IntegrityError):
        bus.save()
    bus.refresh_from_db()
    assert bus.name == "66"


def _fail():
    raise IntegrityError("the outbox is full")


def test_the_settings_name_the_models_that_are_listened_to(bus, settings):
    plain = Unlisted.save_base
    settings.HOOK_ALLOWED_MODELS = ["app.Unlisted", "no.Such"]
    assert Unlisted.save_base is not plain
    bus.save()
    assert actions() == []
    settings.HOOK_ALLOWED_MODELS = ["app.Vehicle"]
    listen()
    assert Unlisted.save_base is plain
    bus.save()
    assert actions() == ["changed"]


def test_a_save_base_of_the_models_own_comes_back(settings, monkeypatch):
    def save_base(self, *args, **kwargs):
        """The model's own."""

    monkeypatch.setattr(Unlisted, "save_base", save_base)
    settings.HOOK_ALLOWED_MODELS = ["app.Unlisted"]
    assert Unlisted.save_base.__wrapped__ is save_base
    settings.HOOK_ALLOWED_MODELS = []
    assert Unlisted.save_base is save_base


def test_hook_event_works_for_models_that_are_not_listed(hook_on, receiver):
    thing = Unlisted.objects.create(name="x")
    hook_on(thing, action="seen")
    thing.save()
    hook_event.send(sender=Unlisted, instance=thing, action="seen")
    assert [post.body for post in receiver.posts] == [b"{}"]


def test_silenced_code_tells_nobody(bus):
    with doh.silenced():
        bus.save()
        hook_event.send(sender=Vehicle, instance=bus, action="crashed")
    assert actions() == []


def test_bulk_changes_can_be_told_of(bus, receiver):
    other = Vehicle.objects.create(name="66")
    Vehicle.objects.update(type="tram")
    assert send_events(Vehicle.objects.all(), "changed") == 1
    assert len(receiver.posts) == 1
    assert other.pk


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_an_object_of_another_database_is_told_of_when_that_commits(hook_on, receiver):
    remote = Remote.objects.create(name="far")
    hook_on(remote)
    with transaction.atomic(using="other"):
        remote.save()
        assert actions() == []
    assert actions() == ["changed"]
    assert len(receiver.posts) == 1
    assert Event.objects.get().using == "other"


def test_an_event_nobody_listens_to_costs_one_query(bus):
    other = Vehicle.objects.create(name="66")
    other.save()
    with doh.silenced(), CaptureQueriesContext(connection) as plain:
        other.save()
    with CaptureQueriesContext(connection) as asked:
        other.save()
    assert len(asked) == len(plain) + 1
    # The statement, or the function that keeps its plan.
    (said,) = [query["sql"] for query in asked if "doh_" in query["sql"]]
    assert "doh_hook" in said or "doh_is_heard_" in said


def test_a_save_that_is_heard_costs_two_queries_and_one_from_then_on(bus, hook_on):
    hook_on(bus)
    with transaction.atomic():
        with doh.silenced(), CaptureQueriesContext(connection) as plain:
            bus.save()
        with CaptureQueriesContext(connection) as heard:
            bus.save()
        with CaptureQueriesContext(connection) as again:
            bus.save()
    assert len(heard) == len(plain) + 2
    assert len(again) == len(plain) + 1
    assert actions() == ["changed", "changed"]


@pytest.mark.parametrize("end", ["disabled", "deleted", "rolled back"])
def test_what_was_heard_once_is_no_event_any_more_where_nobody_listens_now(hook_on, end):
    bus = Vehicle.objects.create(name="66")
    with suppress(LookupError), transaction.atomic():
        hook = hook_on(bus)
        bus.save()
        assert actions() == ["changed"]
        if end == "rolled back":
            raise LookupError
    if end == "deleted":
        hook.delete()
    elif end == "disabled":
        Hook.objects.all().disable("for now", timezone.now())
    before = actions()
    assert not send_event(bus, "changed")
    assert actions() == before
    with doh.silenced(), CaptureQueriesContext(connection) as plain:
        bus.save()
    with CaptureQueriesContext(connection) as asked:
        bus.save()
    assert len(asked) == len(plain) + 1
    assert not any("INSERT" in query["sql"] for query in asked), "it is asked before, again"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instance": "bus"}, "instance must be a model instance, not 'bus'"),
        ({"instance": Vehicle()}, "must have a key: this Vehicle is not saved yet"),
        ({"action": ""}, "action must be a text of 1 to 64 characters, not ''"),
        ({"action": "x" * 65}, "action must be a text of 1 to 64 characters"),
    ],
)
def test_bad_arguments_are_named(bus, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        hook_event.send(sender=Vehicle, **{"instance": bus, "action": "x", **change})


@pytest.mark.parametrize("path", ["no.such.deliverer", "tests.project.no_callable", ""])
def test_a_deliverer_that_cannot_be_used_never_reaches_save(path, bus, settings, receiver):
    settings.HOOK_COLLECTION_DELIVERER = path
    bus.save()
    assert Event.objects.get().due_at is not None
    from doh.deliverers.chores import work_once

    work_once()
    assert len(receiver.posts) == 1


def test_the_default_transaction_is_left_usable(bus):
    assert not connection.in_atomic_block
    bus.save()
    assert not connection.in_atomic_block


def test_ids_of_events_sort_as_their_moments_and_never_come_twice(monkeypatch):
    made = []
    for milliseconds in (0, 1, 15, 16, 1_795_000_000_000, 1_795_000_000_001, 2**48 - 1):
        monkeypatch.setattr("doh.models.time_ns", lambda now=milliseconds: now * 1_000_000)
        made.append([new_uid() for _ in range(100)])
    assert {len(uid) for several in made for uid in several} == {len("evt_") + 32}
    assert all(max(before) < min(after) for before, after in pairwise(made))
    assert all(len(set(several)) == 100 for several in made)
