"""Hooks as they are saved: the same rules and errors, whichever way they come in."""

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import connection
from django.forms.models import model_to_dict
from django.utils import timezone

from doh.deliverers.chores import work_once
from doh.models import Attempt, Delivery, Hook
from tests import project
from tests.app.models import Vehicle
from tests.bad_targets import REFUSED_AT_SAVE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def errors_of(act):
    with pytest.raises(ValidationError) as refused:
        act()
    return refused.value.message_dict


#: Some, without those that no database can be asked for.
ASKED_FOR = [target for target in REFUSED_AT_SAVE if "\x00" not in target][::7]


@pytest.mark.parametrize("target", ASKED_FOR)
def test_code_and_forms_get_the_same_error(target, bus, user):
    fields = {"user": user, "content_object": bus, "target": target}
    hook = Hook(**fields)
    errors = errors_of(hook.full_clean)
    assert set(errors) == {"target"}
    assert errors_of(lambda: Hook.objects.create(**fields)) == errors
    assert errors_of(lambda: Hook.objects.get_or_create(target=target, defaults=fields)) == errors
    assert not Hook.objects.exists()


@pytest.mark.parametrize("action", ["", "x" * 65])
def test_an_action_that_no_event_can_have_is_refused(action, bus, hook_on):
    assert set(errors_of(lambda: hook_on(bus, action=action))) == {"action"}


def test_changing_a_hook_is_checked_as_well(hook_on, bus):
    hook = hook_on(bus)
    hook.target = "http://127.1/"
    assert set(errors_of(hook.save)) == {"target"}
    assert set(errors_of(lambda: hook.save(update_fields=["target"]))) == {"target"}


def test_what_is_not_saved_is_not_checked(hook_on, bus):
    hook = hook_on(bus)
    Hook.objects.update(target="http://127.1/")
    hook = Hook.objects.defer("target").get()
    hook.expires_at = timezone.now()
    hook.save()
    Hook.objects.get().save(update_fields=["expires_at"])
    assert set(errors_of(Hook.objects.get().save)) == {"target"}


@pytest.mark.parametrize("save", [lambda hook: hook.save(), lambda hook: hook.full_clean()])
def test_the_target_is_written_in_its_canonical_spelling(save, user, bus):
    hook = Hook(user=user, content_object=bus, target="HTTP://Bücher.Example.:80/a#b")
    hook.target = hook.target.replace("ü", "ü")
    save(hook)
    assert hook.target == "http://xn--bcher-kva.example/a"


@pytest.mark.parametrize(
    ("setting", "value", "target", "error"),
    [
        ("HOOK_ALLOW_HTTP", False, "http://a/", "the target must start with https://"),
        (
            "HOOK_ALLOWED_PORTS",
            [443],
            "http://a/",
            "the target's port 80 is not allowed: use one of",
        ),
        ("HOOK_DENIED_HOSTS", ["me.example"], "http://x.me.example/", "the target's host is not"),
    ],
)
def test_what_the_settings_refuse_is_refused_at_save_and_when_sending(
    setting, value, target, error, settings, bus, user, receiver, hook_on
):
    hook = Hook.objects.create(user=user, content_object=bus, target=target)
    setattr(settings, setting, value)
    (text,) = errors_of(hook.save)["target"]
    assert text.startswith(f"Not a usable target: {error}")
    bus.save()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.blocked) == ("waiting", True)
    assert delivery.detail.startswith(error)


def test_nothing_private_is_reached_without_settings(settings, bus, hook_on, receiver):
    hook_on(bus)
    settings.HOOK_ALLOWED_NETWORKS = []
    bus.save()
    assert receiver.posts == []
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.detail) == ("waiting", "the target's address is not allowed")


COLLECTIONS = ["doh.deliverers.deliver_hooks", "doh.deliverers.deliver_hooks_using_eventlet"]


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("schedule", [[0], [0, 0, 0, 0]])
def test_a_blocked_target_is_tried_once_more_after_five_minutes_and_then_dead(
    collection, schedule, settings, bus, hook_on, receiver
):
    settings.HOOK_COLLECTION_DELIVERER = collection
    settings.HOOK_RETRY_SCHEDULE = schedule
    hook_on(bus)
    settings.HOOK_ALLOWED_NETWORKS = []
    bus.save()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.blocked, delivery.attempts) == ("waiting", True, 1)
    assert 290 < (delivery.due_at - delivery.updated_at).total_seconds() <= 300
    Delivery.objects.update(due_at=timezone.now())
    work_once()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.blocked, delivery.attempts) == ("dead", True, 2)
    assert {attempt.detail for attempt in Attempt.objects.all()} == {
        "the target's address is not allowed"
    }
    assert Hook.objects.get().is_enabled
    assert receiver.posts == []


def test_a_blocked_target_that_is_fine_again_is_delivered(settings, bus, hook_on, receiver):
    hook_on(bus)
    settings.HOOK_ALLOWED_NETWORKS = []
    bus.save()
    settings.HOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    Delivery.objects.update(due_at=timezone.now())
    work_once()
    assert Delivery.objects.values_list("status", "blocked").get() == ("succeeded", False)


def test_a_redriven_dead_letter_gets_its_second_look_again(settings, bus, hook_on, receiver):
    hook_on(bus)
    bus.save()
    Delivery.objects.update(status="dead", blocked=True)
    Delivery.objects.all().owe_again()
    assert not Delivery.objects.get().blocked


def test_a_callable_of_the_project_that_uses_ours_is_blocked_too(settings, bus, hook_on, receiver):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.signed_element"
    project.reset()
    hook_on(bus)
    settings.HOOK_ALLOWED_NETWORKS = []
    bus.save()
    assert Delivery.objects.values_list("status", "blocked").get() == ("waiting", True)
    assert receiver.posts == []


# Custom headers


def stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT headers FROM doh_hook")
        return cursor.fetchone()[0]


def test_headers_are_encrypted_at_rest(hook_on, bus):
    hook_on(bus, headers={"Authorization": "Bearer marked"})
    assert Hook.objects.get().headers == {"Authorization": "Bearer marked"}
    assert "marked" not in stored()
    assert "Authorization" not in stored()


def test_no_headers_are_stored_as_nothing(hook_on, bus):
    hook_on(bus)
    assert stored() is None
    assert Hook.objects.get().headers == {}


def test_header_values_are_shown_nowhere(hook_on, bus):
    hook = hook_on(bus, headers={"X-Key": "marked"})
    for one in (hook, Hook.objects.get()):
        text = f"{one!r} {one} {one.headers!r} {model_to_dict(one)}"
        assert "marked" not in text
    assert "marked" not in serializers.serialize("json", [hook])


def test_a_dumped_hook_can_be_loaded(hook_on, bus):
    hook = hook_on(bus, headers={"X-Key": "marked"})
    text = serializers.serialize("json", [hook])
    hook.delete()
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert Hook.objects.get().headers == {"X-Key": "marked"}


@pytest.mark.parametrize("headers", [{"Host": "a"}, {"X-A": "marked\r\nX-B: c"}, "X-A: b", [1]])
def test_bad_headers_are_refused_at_save(headers, user, bus):
    fields = {"user": user, "content_object": bus, "target": "http://a/", "headers": headers}
    errors = errors_of(lambda: Hook.objects.create(**fields))
    assert set(errors) == {"headers"}
    assert errors == errors_of(Hook(**fields).full_clean)
    assert "marked" not in str(errors)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_headers_are_sent_by_each_deliverer(collection, settings, hook_on, bus, receiver):
    settings.HOOK_COLLECTION_DELIVERER = collection
    hook_on(bus, headers={"X-Key": "a", "User-Agent": "mine"})
    hook_on(bus)
    bus.save()
    sent = {post.headers.get("x-key"): post.headers["user-agent"] for post in receiver.posts}
    assert sent["a"] == "mine"
    assert sent[None].startswith("django-object-hooks")


def test_a_callable_of_the_project_sends_them_through_ours(settings, bus, hook_on, receiver):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.signed_element"
    hook_on(bus, headers={"X-Key": "a"})
    bus.save()
    assert receiver.posts[0].headers["x-key"] == "a"


def test_headers_that_slipped_past_the_checks_disable_their_hook(bus, user, hook_on, receiver):
    bad = Hook(user=user, content_object=bus, target=receiver.url("/"), headers={"X": "a\r\nY: b"})
    Hook.objects.bulk_create([bad])
    hook_on(bus)
    bus.save()
    assert len(receiver.posts) == 1
    assert "the value of X must be" in Hook.objects.exclude(disabled_at=None).get().disabled_reason


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_targets_that_slipped_past_the_checks_disable_their_hooks(
    collection, settings, bus, user, receiver
):
    settings.HOOK_COLLECTION_DELIVERER = collection
    bad = [target for target in REFUSED_AT_SAVE if len(target) <= 2048 and "\0" not in target]
    Hook.objects.bulk_create([Hook(user=user, content_object=bus, target=target) for target in bad])
    bus.save()
    assert receiver.posts == []
    assert Hook.objects.exclude(disabled_at=None).count() == len(bad)
    assert Delivery.objects.dead().count() == len(bad)
