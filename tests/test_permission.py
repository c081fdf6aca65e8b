"""Who may receive: owners that are inactive, and the project's own rule."""

import logging

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import CaptureQueriesContext

from doh.checks import TAG
from doh.deliverers.chores import work_once
from doh.journal import get_journal
from doh.models import Delivery, Hook
from doh.permission import Candidate, refusals
from tests.app.models import Parcel, Vehicle
from tests.journal.steps import redrive

pytestmark = pytest.mark.django_db(transaction=True)

#: What the rule was asked, and what it is to answer: a callable on the candidates.
asked: list = []
answer: list = []


def rule(candidates):
    asked.append(list(candidates))
    return answer[0](candidates)


@pytest.fixture
def ruled(settings):
    """A project with a rule; tells it what to answer."""
    asked.clear()
    settings.HOOK_MAY_RECEIVE = "tests.test_permission.rule"

    def by(say):
        answer[:] = [say]

    by(lambda candidates: candidates)
    return by


@pytest.fixture(
    params=[
        "doh.deliverers.deliver_hooks",
        "doh.deliverers.deliver_hooks_using_eventlet",
        "tests.project.element",
    ]
)
def deliverer(request, settings):
    """The inline ways to send: synchronous, eventlet, and a callable of the project's own."""
    from tests import project

    project.reset()
    name = "ELEMENT" if request.param.endswith("element") else "COLLECTION"
    setattr(settings, f"HOOK_{name}_DELIVERER", request.param)
    settings.HOOK_RETRY_SCHEDULE = [0, 0, 0]
    return request.param


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def somebody(name, **fields):
    return get_user_model().objects.create(username=name, **fields)


def rows():
    return dict(Delivery.objects.values_list("hook_id", "status"))


def sent_to(receiver):
    """Who was told, by the receiver or by the project's callable."""
    from tests import project

    return {post.path for post in receiver.posts} | {
        "/" + target.rpartition("/")[2] for target, _ in project.calls
    }


def test_an_inactive_owner_is_never_told(deliverer, bus, hook_on, receiver, user):
    hook_on(bus, target=receiver.url("/active"))
    left = Hook.objects.create(
        user=somebody("left", is_active=False), content_object=bus, target=receiver.url("/left")
    )
    bus.save()
    assert sent_to(receiver) == {"/active"}
    delivery = Delivery.objects.get(hook=left)
    assert (delivery.status, delivery.attempts) == ("cancelled", 0)
    assert delivery.detail == "its owner is inactive"


def test_whom_the_rule_leaves_out_is_not_told(deliverer, bus, hook_on, receiver, ruled):
    good, bad = (hook_on(bus, target=receiver.url(path)) for path in ("/good", "/bad"))
    ruled(lambda candidates: (one for one in candidates if one.hook_id == good.pk))
    bus.save()
    assert sent_to(receiver) == {"/good"}
    assert rows() == {good.pk: "succeeded", bad.pk: "cancelled"}
    assert Delivery.objects.get(hook=bad).detail == "its owner may not receive it"


def test_the_rule_is_asked_once_for_a_batch_about_everything_in_it(
    deliverer, bus, hook_on, user, ruled
):
    hooks = [hook_on(bus), hook_on(bus)]
    bus.save()
    (candidates,) = asked
    event_id = Delivery.objects.first().event_id
    assert candidates == [
        Candidate(hook.pk, user.pk, event_id, "app.vehicle", str(bus.pk), "changed")
        for hook in hooks
    ]


def test_the_rule_is_asked_again_at_a_retry(deliverer, bus, hook_on, receiver, ruled):
    from tests import project

    project.answers.append(RuntimeError("not now"))
    hook = hook_on(bus, target=receiver.url("/fail/1/x"))
    bus.save()
    assert rows() == {hook.pk: "waiting"}
    ruled(lambda candidates: [])
    work_once()
    assert rows() == {hook.pk: "cancelled"}
    assert Delivery.objects.get().attempts == 1


def test_the_rule_is_asked_again_at_a_redrive(deliverer, bus, hook_on, receiver, ruled, settings):
    from tests import project

    settings.HOOK_RETRY_SCHEDULE = [0]
    project.answers.append(RuntimeError("not now"))
    hook = hook_on(bus, target=receiver.url("/fail/1/x"))
    bus.save()
    assert rows() == {hook.pk: "dead"}
    redrive(get_journal())
    ruled(lambda candidates: [])
    work_once()
    assert rows() == {hook.pk: "cancelled"}


@pytest.mark.parametrize(
    "failing",
    [lambda candidates: 1 / 0, lambda candidates: None, lambda candidates: [{}]],
    ids=["raises", "returns nothing", "returns something else"],
)
def test_where_the_rule_fails_nothing_is_sent_yet(
    failing, deliverer, bus, hook_on, receiver, ruled, caplog
):
    hook = hook_on(bus)
    ruled(failing)
    with caplog.at_level(logging.ERROR, "doh"):
        bus.save()
    assert sent_to(receiver) == set()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("waiting", 0)
    assert delivery.due_at > delivery.updated_at
    assert "HOOK_MAY_RECEIVE failed" in caplog.text
    ruled(lambda candidates: candidates)
    Delivery.objects.update(due_at=delivery.updated_at)
    work_once()
    assert rows() == {hook.pk: "succeeded"}


def test_a_rule_that_is_not_there_sends_nothing(bus, hook_on, receiver, settings):
    settings.HOOK_MAY_RECEIVE = "tests.test_permission.gone"
    (error,) = run_checks(tags=[TAG])
    assert (error.id, "tests.test_permission.gone" in error.msg) == ("doh.E008", True)
    hook_on(bus)
    bus.save()
    assert receiver.posts == []
    assert Delivery.objects.get().status == "waiting"


@pytest.mark.parametrize(
    ("value", "said"),
    [(7, "must be the dotted path"), ("tests.project.no_callable", "no callable")],
)
def test_a_rule_that_is_none_is_named(value, said, settings):
    settings.HOOK_MAY_RECEIVE = value
    (error,) = run_checks(tags=[TAG])
    assert "HOOK_MAY_RECEIVE" in error.msg
    assert said in error.msg


def test_no_payload_is_rendered_for_whom_it_is_not_for(hook_on, ruled, monkeypatch):
    parcel = Parcel.objects.create(code="a")
    hook_on(parcel)
    ruled(lambda candidates: [])
    rendered = []
    monkeypatch.setattr(Parcel, "get_dynamic_payload", lambda self, hook: rendered.append(hook))
    parcel.save()
    assert rendered == []
    assert Delivery.objects.get().status == "cancelled"


def query_rule(candidates):
    users = get_user_model().objects.filter(pk__in={one.user_id for one in candidates})
    known = set(users.values_list("pk", flat=True))
    return [one for one in candidates if one.user_id in known]


def queries_for(bus, number, receiver):
    Hook.objects.all().delete()
    for index in range(number):
        owner, _ = get_user_model().objects.get_or_create(username=str(index))
        Hook.objects.create(user=owner, content_object=bus, target=receiver.url("/"))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        bus.save()
    assert len(receiver.posts) == number
    receiver.reset()
    return [query["sql"] for query in queries if "auth_user" in query["sql"]]


def test_asking_costs_the_same_for_many_hooks(bus, receiver, settings):
    settings.HOOK_MAY_RECEIVE = "tests.test_permission.query_rule"
    # One that reads the hooks with their owners, one of the rule's own.
    assert len(queries_for(bus, 1, receiver)) == len(queries_for(bus, 30, receiver)) == 2


class _Users:
    """Stands for the manager of a user model that keeps no ``is_active`` column."""

    def __init__(self, users):
        self._users = users

    def using(self, alias):
        return self

    def filter(self, pk__in):
        return [user for user in self._users if user.pk in pk__in]


def user_model(users, **attributes):
    class Meta:
        concrete_fields = ()

    return type("Own", (), {"_meta": Meta, "_base_manager": _Users(users), **attributes})


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        ({}, set()),
        ({"is_active": True}, set()),
        ({"is_active": False}, {1, 2}),
        ({"is_active": property(lambda user: user.pk == 2)}, {1}),
    ],
    ids=["no attribute", "Django's own", "nobody", "a property"],
)
def test_a_user_model_without_the_column_goes_by_its_attribute(attributes, refused, monkeypatch):
    users = []
    model = user_model(users, **attributes)
    for pk in (1, 2):
        user = model()
        user.pk = pk
        users.append(user)
    monkeypatch.setattr("doh.permission.get_user_model", lambda: model)
    candidates = [Candidate(pk, pk, 7, "app.vehicle", "55", "changed") for pk in (1, 2)]
    assert {pair.hook_id for pair in refusals({1: None, 2: None}, candidates, "default")} == refused


def test_where_nobody_objects_no_candidate_is_made(user):
    def candidates():
        raise AssertionError
        yield

    assert refusals({user.pk: True}, candidates(), "default") == {}
