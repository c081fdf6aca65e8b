import pytest
from django.test import TestCase

import doh
from doh.models import Event, Hook
from doh.signals import hook_event
from doh.testing import capture_hooks
from tests.app.models import Depot, Parcel, Tram, Vehicle


class InATestCase(TestCase):
    """A TestCase never commits, and hooks can be tested in it all the same."""

    def test_a_save_is_captured(self):
        from django.contrib.auth import get_user_model

        bus = Vehicle.objects.create(name="55")
        user = get_user_model().objects.create(username="ada")
        Hook.objects.create(user=user, content_object=bus, target="http://127.0.0.1:1/")
        with capture_hooks() as sent:
            bus.save()
        sent.assert_sent(bus, action="changed", times=1)
        assert not Event.objects.exists()


@pytest.fixture
def depot(db, hook_on):
    made = Depot.objects.create(name="north")
    hook_on(made, action="*")
    return made


def test_captured_events_say_what_would_be_sent(depot):
    with capture_hooks() as sent:
        depot.save()
        hook_event.send(sender=Depot, instance=depot, action="closed", payload={"why": "rain"})
    assert [(one.app_label, one.object_name, one.instance_pk, one.action) for one in sent] == [
        ("app", "Depot", depot.pk, "changed"),
        ("app", "Depot", depot.pk, "closed"),
    ]
    assert [hook.pk for hook in sent[0].hooks] == [Hook.objects.get().pk]
    sent.assert_sent(depot)
    sent.assert_sent(action="closed", payload={"why": "rain"})
    sent.assert_sent(payload='{"why": "rain"}', times=1)
    sent.assert_not_sent(depot, "deleted")
    sent.assert_not_sent(Depot(pk=depot.pk.int and "00000000-0000-0000-0000-000000000000"))


def test_an_object_that_was_deleted_is_found(hook_on):
    bus = Vehicle.objects.create(name="55")
    hook_on(bus, action="*")
    with capture_hooks() as sent:
        bus.delete()
    assert bus.pk is None
    sent.assert_sent(bus, "deleted", times=1)


def test_a_proxy_is_found_under_its_concrete_model(hook_on):
    bus = Vehicle.objects.create(name="55")
    hook_on(bus)
    with capture_hooks() as sent:
        Tram.objects.get().save()
    sent.assert_sent(bus)
    sent.assert_sent(Tram.objects.get())


def test_a_failed_assertion_lists_what_was_captured(depot):
    with capture_hooks() as sent:
        depot.save()
    with pytest.raises(AssertionError, match=r"Expected 2 of app.Depot .*, changed, found 1") as it:
        sent.assert_sent(depot, "changed", times=2)
    assert f"app.Depot {depot.pk} changed to 1 hook(s)" in str(it.value)
    with pytest.raises(AssertionError, match=r"with \{'a': 1\}"):
        sent.assert_sent(payload={"a": 1})


def test_nothing_captured_comes_with_advice(db):
    with capture_hooks() as sent:
        Vehicle.objects.create(name="55")
    with pytest.raises(AssertionError, match="Nothing was captured: does an enabled hook listen"):
        sent.assert_sent()


def test_a_dynamic_payload_is_rendered_per_hook(hook_on):
    parcel = Parcel.objects.create(code="a")
    hook_on(parcel)
    with capture_hooks() as sent:
        parcel.save()
    assert sent[0].payload is None
    with pytest.raises(AssertionError, match="rendered per hook"):
        sent.assert_sent(action="deleted")


def test_silence_is_kept_in_tests_too(depot):
    with capture_hooks() as sent, doh.silenced():
        depot.save()
    assert sent == []
