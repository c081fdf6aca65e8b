import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django.forms import model_to_dict
from django.utils import timezone

from doh.exceptions import PayloadError
from doh.models import Delivery, Event
from doh.payloads import compose, dump_json, render, restore_snapshot, take_snapshot
from doh.signals import hook_event
from tests.app.models import Depot, Everything, Parcel, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"a": Decimal("1.10")}, '{"a":"1.10"}'),
        ([date(2026, 1, 2)], '["2026-01-02"]'),
        ({"u": UUID(int=1)}, '{"u":"00000000-0000-0000-0000-000000000001"}'),
        ({"url": "http://a/b"}, '{"url":"http://a/b"}'),
        ({"nested": [{"d": (Decimal("2"),)}]}, '{"nested":[{"d":["2"]}]}'),
        ({"b": b"x", "s": {1}, "d": timedelta(1)}, '{"b":"x","s":[1],"d":"P1DT00H00M00S"}'),
        ("é", '"\\u00e9"'),
        (None, "null"),
    ],
)
def test_a_payload_is_dumped_as_django_would_with_ujson(payload, text):
    assert dump_json(payload) == text


def test_model_to_dict_of_any_model_can_be_dumped():
    everything = Everything.objects.create(
        day=date(2026, 1, 2),
        moment=timezone.now(),
        price=Decimal("0.1000000001"),
        duration=timedelta(hours=1),
        time=datetime(2026, 1, 1, 12).time(),  # noqa: DTZ001
    )
    everything.vehicles.add(Vehicle.objects.create(name="55"))
    dumped = json.loads(dump_json(model_to_dict(everything)))
    assert dumped["price"] == "0.1000000001"
    assert dumped["vehicles"] == [Vehicle.objects.get().pk]
    assert dumped["big"] == 2**62


def test_a_snapshot_restores_every_kind_of_field():
    everything = Everything.objects.create(
        blob=b"\x00\xff", day=date(2026, 1, 2), price=Decimal("1.5"), document="a.txt"
    )
    everything.refresh_from_db()
    again = restore_snapshot("app.everything", take_snapshot(everything), "default")
    for field in Everything._meta.concrete_fields:
        old, new = getattr(everything, field.attname), getattr(again, field.attname)
        old, new = (bytes(v) if isinstance(v, memoryview) else v for v in (old, new))
        assert new == old, field.attname


def test_a_snapshot_is_read_though_the_model_has_got_another_field():
    text = json.dumps({"code": "a", "gone": 1, "tags": ["x"]})
    parcel = restore_snapshot("app.parcel", text, "default")
    assert (parcel.code, parcel.tags) == ("a", ["x"])


def test_the_static_payload_is_asked_once_per_event(hook_on, receiver, monkeypatch):
    depot = Depot.objects.create(name="north")
    for _ in range(3):
        hook_on(depot)
    calls = []
    plain = Depot.get_static_payload
    monkeypatch.setattr(Depot, "get_static_payload", lambda self: calls.append(1) or plain(self))
    depot.save()
    assert [json.loads(post.body)["name"] for post in receiver.posts] == ["north"] * 3
    assert len(calls) == 1


def test_a_static_payload_with_a_hook_parameter_gets_none(hook_on, receiver):
    everything = Everything.objects.create()
    hook_on(everything)
    everything.save()
    assert json.loads(receiver.posts[0].body)["number"] == 1.5


def test_the_dynamic_payload_is_asked_once_per_hook(hook_on, receiver):
    parcel = Parcel.objects.create(code="a", weight=Decimal("1.50"))
    hooks = [hook_on(parcel), hook_on(parcel, action="*")]
    parcel.save()
    bodies = [json.loads(post.body) for post in receiver.posts]
    assert [(body["hook"], body["action"]) for body in bodies] == [
        (hooks[0].pk, "changed"),
        (hooks[1].pk, "*"),
    ]
    assert bodies[0]["weight"] == "1.50"


def test_the_static_payload_wins(hook_on, receiver, monkeypatch):
    monkeypatch.setattr(Parcel, "get_static_payload", lambda self: {"static": 1}, raising=False)
    parcel = Parcel.objects.create(code="a")
    hook_on(parcel)
    parcel.save()
    assert receiver.posts[0].body == b'{"static":1}'


@pytest.mark.parametrize("late", ["changed", "deleted"])
def test_a_dynamic_payload_is_that_of_the_moment_of_the_event(late, hook_on, receiver, settings):
    parcel = Parcel.objects.create(code="a", state="packed")
    hook_on(parcel, target=receiver.url("/fail/1/x"))
    settings.HOOK_RETRY_SCHEDULE = [0, 0]
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.nothing_now"
    parcel.save()
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks"
    Event.objects.update(deliverer="doh.deliverers.base.HooksDeliverer")
    if late == "changed":
        Parcel.objects.update(state="lost")
    else:
        Parcel.objects.all()._raw_delete("default")
    from doh.deliverers.chores import work_once

    work_once()
    assert [json.loads(post.body)["state"] for post in receiver.posts] == ["packed"] * 2
    assert len({post.body for post in receiver.posts}) == 1
    assert Delivery.objects.get().body is None


def test_without_a_payload_method_the_body_is_an_empty_object(hook_on, receiver):
    vehicle = Vehicle.objects.create(name="55")
    hook_on(vehicle)
    vehicle.save()
    assert receiver.posts[0].body == b"{}"


@pytest.mark.parametrize(
    ("payload", "body"), [({}, b"{}"), ('{"a": 1}', b'{"a": 1}'), ([1], b"[1]"), (0, b"0")]
)
def test_a_given_payload_is_sent_as_it_is(payload, body, hook_on, receiver):
    depot = Depot.objects.create(name="north")
    hook_on(depot, action="closed")
    hook_event.send(sender=Depot, instance=depot, action="closed", payload=payload)
    assert receiver.posts[0].body == body


@pytest.mark.parametrize("problem", [ValueError("no"), {"nan": float("nan")}, {"x": object()}])
def test_a_payload_that_fails_ends_as_a_dead_letter_and_not_in_save(
    problem, hook_on, receiver, monkeypatch
):
    def get_static_payload(self):
        if isinstance(problem, Exception):
            raise problem
        return problem

    monkeypatch.setattr(Depot, "get_static_payload", get_static_payload)
    depot = Depot.objects.create(name="north")
    hook_on(depot)
    depot.save()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("dead", 0)
    assert delivery.detail.startswith("the payload failed: ")
    assert receiver.posts == []


def test_a_database_error_in_a_payload_method_does_not_spoil_the_transaction(hook_on, monkeypatch):
    def get_static_payload(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nonsense")

    monkeypatch.setattr(Depot, "get_static_payload", get_static_payload)
    depot = Depot.objects.create(name="north")
    hook_on(depot)
    depot.name = "south"
    depot.save()
    depot.refresh_from_db()
    assert depot.name == "south"
    assert Delivery.objects.get().status == "dead"


def test_one_hook_whose_rendering_fails_does_not_take_its_neighbours_along(
    hook_on, receiver, monkeypatch
):
    parcel = Parcel.objects.create(code="a")
    bad, good = hook_on(parcel), hook_on(parcel)

    def get_dynamic_payload(self, hook):
        if hook.pk == bad.pk:
            raise KeyError("gone")
        return {"hook": hook.pk}

    monkeypatch.setattr(Parcel, "get_dynamic_payload", get_dynamic_payload)
    parcel.save()
    statuses = dict(Delivery.objects.values_list("hook_id", "status"))
    assert statuses == {bad.pk: "dead", good.pk: "succeeded"}


def test_a_dump_may_give_bytes_and_nothing_else(hook_on):
    parcel = Parcel(code="a")
    hook = hook_on(Parcel.objects.create(code="b"))
    assert render(parcel, hook, lambda payload: b"[]") == "[]"
    with pytest.raises(PayloadError, match="must return a str, not int"):
        render(parcel, hook, lambda payload: 7)
    assert "must return a str" in compose(parcel, {}, lambda payload: 7, "default").error
