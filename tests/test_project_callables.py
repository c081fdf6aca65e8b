import pytest
import requests

from doh.deliverers import resolve
from doh.deliverers.chores import work_once
from doh.exceptions import HookConfigurationError
from doh.models import Delivery, Event, Hook
from tests import project
from tests.app.models import Depot, Parcel, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_project(settings):
    project.reset()
    settings.HOOK_RETRY_SCHEDULE = [0, 0, 0]


@pytest.fixture
def depot(db):
    return Depot.objects.create(name="north")


def test_a_collection_callable_gets_the_keywords_and_owns_the_event(
    depot, hook_on, settings, receiver
):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.collection"
    hook_on(depot)
    depot.save()
    (call,) = project.calls
    assert call.pop("payload").startswith('{"id":')
    assert call == {
        "app_label": "app",
        "object_name": "Depot",
        "instance_pk": depot.pk,
        "action": "changed",
    }
    event = Event.objects.get()
    assert (event.due_at, event.finished_at is None) == (None, False)
    work_once()
    assert len(project.calls) == 1
    assert receiver.posts == []


def test_a_dynamic_payload_is_none_to_a_collection_callable(hook_on, settings):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.collection"
    parcel = Parcel.objects.create(code="a")
    hook_on(parcel)
    parcel.save()
    assert project.calls[0]["payload"] is None
    assert project.calls[0]["instance_pk"] == "a"


def test_a_collection_callable_that_raises_is_called_again_and_given_up_visibly(
    depot, hook_on, settings, caplog
):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.nothing_now"
    hook_on(depot)
    depot.save()
    event = Event.objects.get()
    assert (event.tries, event.error) == (1, "RuntimeError: not now")
    work_once()
    event.refresh_from_db()
    assert event.tries == 3
    assert event.finished_at is not None
    assert caplog.text.count("failed: RuntimeError") == 3


@pytest.mark.parametrize("path", ["delegating", "delegating_to_class"])
def test_a_collection_callable_may_delegate_to_a_built_in_one(path, hook_on, settings, receiver):
    settings.HOOK_COLLECTION_DELIVERER = f"tests.project.{path}"
    vehicle = Vehicle.objects.create(name="55")
    hook_on(vehicle)
    vehicle.save()
    assert len(receiver.posts) == 1
    assert Delivery.objects.get().status == "succeeded"
    assert Event.objects.get().deliverer.endswith(("HooksDeliverer", "Collection"))
    assert Event.objects.get().finished_at is not None
    ran = [call for call in project.calls if isinstance(call, tuple)]
    assert (path == "delegating_to_class") == bool(ran)


def response(status, **headers):
    made = requests.Response()
    made.status_code = status
    made.headers.update(headers)
    return made


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        (None, "succeeded", ""),
        (response(204), "succeeded", ""),
        (response(500), "waiting", "500 Internal Server Error"),
        (response(410), "cancelled", "410 Gone"),
        (OSError("no route"), "waiting", "OSError: no route"),
    ],
)
def test_what_an_element_callable_returns_is_the_outcome(answer, status, detail, hook_on, settings):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.element"
    vehicle = Vehicle.objects.create(name="55")
    hook = hook_on(vehicle)
    project.answers.append(answer)
    vehicle.save()
    assert project.calls == [(hook.target, "{}")]
    assert Delivery.objects.values_list("status", "detail", "attempts").get() == (status, detail, 1)
    assert Hook.objects.get().is_enabled == (status != "cancelled")


def test_an_element_callable_may_delegate_and_the_post_is_signed(hook_on, settings, receiver):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.signed_element"
    vehicle = Vehicle.objects.create(name="55")
    hook_on(vehicle)
    bad = hook_on(vehicle, target="http://127.0.0.1:1/")
    vehicle.save()
    assert "webhook-signature" in receiver.posts[0].headers
    assert Delivery.objects.get(hook=bad).status == "waiting"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tests.project.local", "can't be found by a worker"),
        ("tests.project.no_callable", "is no callable but a int"),
        ("tests.project.missing", "can't be imported"),
        ("no.such.module", "can't be imported"),
        ("tests.project:make_local.<locals>.Local", "can't be found by a worker"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(path, message):
    with pytest.raises(HookConfigurationError, match=message):
        resolve.collection_at(path)


def test_a_path_in_the_ledger_may_name_a_deliverer_class_or_the_setting_only(
    depot, hook_on, receiver
):
    hook_on(depot)
    event = Event.objects.create(
        content_type=Hook.objects.get().content_type,
        label="app.depot",
        object_id=str(depot.pk),
        action="changed",
        using="default",
        deliverer="os.abort",
        payload="{}",
        hooks_until=Hook.objects.get().pk,
        due_at=Event(uid="x").occurred_at,
    )
    work_once()
    event.refresh_from_db()
    assert "neither a HooksDeliverer nor HOOK_COLLECTION_DELIVERER" in event.error
    assert receiver.posts == []


def test_settings_are_resolved_again_when_they_change(settings):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.Element.deliver"
    assert resolve.element().kind is project.Element
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.Element.delay"
    assert resolve.element().queued
