"""Result hooks: ``after_deliver`` of both kinds of deliverer, and ``dump_payload``."""

from datetime import timedelta

import pytest
import requests

from doh.deliverers import results
from doh.deliverers.chores import work_once
from doh.journal import get_journal
from doh.models import Delivery, Event
from tests import project
from tests.app.models import Parcel, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

COLLECTIONS = ["doh.deliverers.deliver_hooks", "doh.deliverers.deliver_hooks_using_eventlet"]


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture(autouse=True)
def _fresh_project():
    project.reset()


@pytest.mark.parametrize("path", ["Collection.deliver", "custom_deliver_hooks", "Collection"])
def test_after_deliver_gets_the_hooks_once_as_a_query_nobody_has_run(
    path, bus, hook_on, settings, receiver
):
    settings.HOOK_COLLECTION_DELIVERER = f"tests.project.{path}"
    hooks = [hook_on(bus), hook_on(bus, target=receiver.url("/status/500"))]
    bus.save()
    assert project.calls == [("collection", None, [hook.pk for hook in hooks])]
    assert Event.objects.get().finished_at is not None


def test_dump_payload_of_the_deliverer_is_used(bus, hook_on, settings, receiver):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.Collection.deliver"
    parcel = Parcel.objects.create(code="a")
    hook_on(parcel)
    parcel.save()
    assert receiver.posts[0].body == b'{"dumped":1}'


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_after_deliver_sees_each_response_once_its_outcome_is_written(
    collection, bus, hook_on, settings, receiver, monkeypatch
):
    settings.HOOK_COLLECTION_DELIVERER = collection
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.Element.deliver"
    written = []
    monkeypatch.setattr(
        project.Element,
        "after_deliver",
        lambda self, response: written.append((response, Delivery.objects.count())),
    )
    target = receiver.url("/status/404")
    hook_on(bus, target=target)
    bus.save()
    ((response, count),) = written
    assert type(response) is requests.Response
    assert (response.status_code, response.url, response.text) == (404, target, "thanks")
    assert response.elapsed > timedelta(0)
    assert response.headers["Content-Length"] == "6"
    assert count == 1


def test_what_after_deliver_raises_is_logged_and_sends_nothing_again(
    bus, hook_on, settings, receiver, caplog
):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.custom_deliver_hook"
    project.answers.append(ValueError("in after_deliver"))
    hook_on(bus)
    bus.save()
    work_once()
    assert len(receiver.posts) == 1
    assert Delivery.objects.get().status == "succeeded"
    assert "Element.after_deliver failed" in caplog.text


def test_a_failing_result_hook_is_logged_and_ends(bus, hook_on, settings, monkeypatch, caplog):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.Collection.deliver"
    monkeypatch.setattr(project.Collection, "after_deliver", lambda self, hooks: 1 / 0)
    hook_on(bus)
    bus.save()
    assert Event.objects.get().finished_at is not None
    assert "after_deliver failed for event" in caplog.text


def test_a_result_hook_is_not_begun_when_its_claim_may_soon_be_over(
    bus, hook_on, settings, monkeypatch
):
    """One that takes long leaves the others to whoever claims them next."""
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.nothing_now"
    hook_on(bus)
    for _ in range(3):
        bus.save()
    journal, told, now = get_journal(), [], [1000.0]

    def slowly(self, hooks):
        told.append(hooks)
        now[0] += 40

    monkeypatch.setattr(results, "monotonic", lambda: now[0])
    monkeypatch.setattr(project.Collection, "after_deliver", slowly)
    Event.objects.update(
        deliverer="tests.project.Collection", fanned_at=journal.now(), due_at=journal.now()
    )
    assert (results.run_result_hooks(journal), len(told)) == (1, 1)
    assert Event.objects.filter(finished_at=None).count() == 2
    Event.objects.filter(finished_at=None).update(due_at=journal.now())
    assert (results.run_result_hooks(journal), len(told)) == (1, 2)
