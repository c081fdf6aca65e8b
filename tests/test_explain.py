from datetime import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from doh.models import Event, Hook
from doh.signals import hook_event
from tests.app.models import Unlisted, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


def explain(*arguments, **options):
    out = StringIO()
    call_command("doh_explain", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def test_what_happened_is_told_in_full(bus, hook_on, receiver):
    hook_on(bus)
    hook_on(bus, target=receiver.url("/status/500?token=marked"))
    other = hook_on(bus)
    Hook.objects.filter(pk=other.pk).update(target="http://user:marked@127.0.0.1:1/x")
    whole = Hook.objects.create(user=other.user, model=Vehicle, target="http://a/")
    Hook.objects.filter(pk=whole.pk).update(target="http://[::1")
    bus.save()
    text = explain("app.Vehicle", str(bus.pk))
    assert "HOOK_ALLOWED_MODELS names app.Vehicle" in text
    assert "Hooks: 4" in text
    assert "(every object)" in text
    assert "succeeded after 1 attempt(s)" in text
    assert "attempt 2 due" in text
    assert "(500 Internal Server Error)" in text
    assert "disabled" in text
    assert "every hook has had a first outcome" in text
    assert text.endswith("2 hook(s) listen; the last event reached 1, and 1 wait for an attempt.\n")
    for hook in Hook.objects.all():
        assert hook.secret not in text
    assert "marked" not in text


def test_an_object_without_hooks_is_explained(bus):
    text = explain("app.Vehicle", str(bus.pk))
    assert "No event is recorded" in text
    assert text.endswith("Nothing is sent: no enabled hook listens.\n")


def test_a_model_that_is_not_allowed_is_explained(hook_on):
    thing = Unlisted.objects.create(name="x")
    hook_on(thing)
    text = explain("app.Unlisted", str(thing.pk))
    assert "add 'app.Unlisted' to HOOK_ALLOWED_MODELS" in text
    assert "saves of this model are no events" in text


def test_a_hook_that_ended_is_explained(bus, hook_on):
    hook_on(bus, expires_at=timezone.now())
    hook_on(bus, action="deleted")
    text = explain("app.Vehicle", str(bus.pk), action="changed")
    assert "expired" in text
    assert "listens to deleted, not to changed" in text


def test_nothing_yet_is_explained(bus, hook_on):
    hook_on(bus)
    assert "nothing has happened since they were made" in explain("app.Vehicle", str(bus.pk))


def test_an_event_that_waits_is_explained(bus, hook_on, settings):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.nothing_now"
    hook_on(bus)
    bus.save()
    text = explain("app.Vehicle", str(bus.pk))
    assert "waits to be fanned out" in text
    assert "RuntimeError: not now" in text
    Event.objects.update(fanned_at=timezone.now(), pending=1)
    assert "1 hook(s) wait for the first attempt" in explain("app.Vehicle", str(bus.pk))


def test_long_lists_are_cut(bus, hook_on):
    for _ in range(22):
        hook_on(bus)
    bus.save()
    hook_event.send(sender=Vehicle, instance=bus, action="seen")
    assert explain("app.Vehicle", str(bus.pk)).count("and 2 more") == 2


def test_an_object_that_is_gone_or_has_an_odd_key_is_said(bus):
    assert "does not exist (any more)" in explain("app.Vehicle", "999999")
    assert "'x' is no key of this model" in explain("app.Vehicle", "x")


def test_an_odd_key_is_said_where_keys_are_uuids():
    assert "'x' is no key of this model" in explain("app.Depot", "x")


def test_an_event_that_was_given_up_is_explained(bus, hook_on, settings):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.nothing_now"
    settings.HOOK_RETRY_SCHEDULE = [0]
    hook_on(bus)
    bus.save()
    assert ", given up\n    RuntimeError: not now" in explain("app.Vehicle", str(bus.pk))


def test_a_secret_that_cannot_be_read_does_not_end_the_explanation(bus, hook_on, settings):
    hook_on(bus)
    settings.SECRET_KEY = "another"
    assert "listens to changed" in explain("app.Vehicle", str(bus.pk))


def test_a_project_without_time_zones_is_explained(bus, hook_on, settings):
    settings.USE_TZ = False
    hook_on(bus, disabled_at=datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001 - as Django has it there
    assert "disabled 2026-01-02 03:04:05" in explain("app.Vehicle", str(bus.pk))


@pytest.mark.parametrize(
    ("label", "mend"),
    [("app.Vehicel", "did you mean app.Vehicle?"), ("nonsense", "write it as app_label.Model.")],
)
def test_an_unknown_model_comes_with_its_mend(label, mend):
    with pytest.raises(CommandError, match=mend.replace("?", r"\?")):
        explain(label, "1")
