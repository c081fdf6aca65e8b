from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.utils import timezone

from doh.deliverers import celery
from doh.models import Delivery, Event, Hook
from tests.app.models import Parcel, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(client):
    user = get_user_model().objects.create_superuser("grace")
    client.force_login(user)
    return client


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def act(staff, model, action, rows):
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    page = staff.post(f"/admin/doh/{model}/", data, follow=True)
    return [str(message) for message in page.context["messages"]]


def form(bus, **fields):
    kind = ContentType.objects.get_for_model(Vehicle).pk
    return {
        "user": get_user_model().objects.get(username="grace").pk,
        "content_type": kind,
        "object_id": bus.pk,
        "action": "changed",
        "target": "http://127.0.0.1:1/",
        **fields,
    }


def test_a_new_hooks_secret_is_shown_once(staff, bus):
    page = staff.post("/admin/doh/hook/add/", form(bus), follow=True)
    hook = Hook.objects.get()
    assert hook.secret in page.content.decode()
    for url in ("/admin/doh/hook/", f"/admin/doh/hook/{hook.pk}/change/"):
        assert hook.secret not in staff.get(url).content.decode()


def test_a_new_secret_is_in_the_answer_and_nowhere_else(staff, bus):
    page = staff.post("/admin/doh/hook/add/", form(bus))
    secret = Hook.objects.get().secret
    assert secret in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert secret not in str(page.cookies) + str(dict(staff.session))


def test_a_hook_may_sign_with_a_key_of_its_own(staff, bus):
    page = staff.post("/admin/doh/hook/add/", form(bus, scheme="v1a")).content.decode()
    hook = Hook.objects.get()
    assert hook.scheme == "v1a"
    assert hook.public_key in page
    assert hook.secret not in page
    url = f"/admin/doh/hook/{hook.pk}/change/"
    assert hook.public_key in staff.get(url).content.decode()
    staff.post(url, form(bus, target="http://127.0.0.1:1/changed"))
    changed = Hook.objects.get()
    assert (changed.secret, changed.target) == (hook.secret, "http://127.0.0.1:1/changed")


def test_rotated_secrets_are_shown_once(staff, bus, hook_on):
    hooks = [hook_on(bus), hook_on(bus)]
    old = {hook.secret for hook in hooks}
    data = {"action": "rotate_secret", "_selected_action": [hook.pk for hook in hooks]}
    page = staff.post("/admin/doh/hook/", data).content.decode()
    new = {hook.secret for hook in Hook.objects.all()}
    assert not new & old
    assert all(secret in page for secret in new)
    assert not any(secret in page for secret in old)
    for url in ("/admin/doh/hook/", f"/admin/doh/hook/{hooks[0].pk}/change/"):
        again = staff.get(url).content.decode()
        assert not any(secret in again for secret in new | old)


def test_a_secret_that_cannot_be_read_hides_no_hook(staff, bus, hook_on):
    hook = hook_on(bus)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE doh_hook SET secret = 'x'")
    assert staff.get("/admin/doh/hook/").status_code == 200
    page = staff.get(f"/admin/doh/hook/{hook.pk}/change/").content.decode()
    assert "HOOK_ENCRYPTION_KEYS" in page


def test_a_hook_without_a_key_listens_to_every_object(staff, bus):
    staff.post("/admin/doh/hook/add/", form(bus, object_id=""))
    hook = Hook.objects.get()
    assert hook.object_id is None
    assert "vehicle *" in staff.get("/admin/doh/hook/").content.decode()


def test_a_bad_target_is_an_error_of_its_field(staff, bus):
    page = staff.post("/admin/doh/hook/add/", form(bus, target="ftp://example.com/"))
    assert page.context["adminform"].form.errors == {
        "target": ["Not a usable target: the target must start with http:// or https://."]
    }


def test_hooks_are_filtered_by_state(staff, bus, hook_on):
    past = timezone.now() - timedelta(days=1)
    hooks = {
        "enabled": hook_on(bus),
        "disabled": hook_on(bus, disabled_at=past, disabled_reason="410"),
        "expired": hook_on(bus, expires_at=past),
    }
    for state, hook in hooks.items():
        page = staff.get(f"/admin/doh/hook/?state={state}")
        assert [row.pk for row in page.context["cl"].queryset] == [hook.pk]
    text = staff.get("/admin/doh/hook/").content.decode()
    assert "disabled: 410" in text
    assert "expired" in text


def test_hooks_are_disabled_and_enabled(staff, bus, hook_on):
    hooks = [hook_on(bus), hook_on(bus)]
    assert act(staff, "hook", "disable", hooks) == ["2 hooks are disabled."]
    assert set(Hook.objects.values_list("disabled_reason", flat=True)) == {
        "disabled in the admin by grace"
    }
    assert act(staff, "hook", "enable", hooks[:1]) == ["1 hook is enabled."]
    assert Hook.objects.filter(disabled_at=None).count() == 1


def test_a_test_event_reaches_its_hook_and_no_other(staff, bus, hook_on, receiver):
    chosen = hook_on(bus, target=receiver.url("/chosen"))
    off = hook_on(bus, disabled_at=timezone.now())
    hook_on(bus, target=receiver.url("/other"))
    assert act(staff, "hook", "send_test_event", [chosen, off]) == [
        "1 test event is sent.",
        "1 disabled or expired left out.",
    ]
    (post,) = receiver.posts
    assert (post.path, post.body) == ("/chosen", b'{"test":true}')
    assert post.headers["doh-event"] == "app.vehicle.test"
    assert Event.objects.get().finished_at is not None


@pytest.mark.parametrize("what", ["collection", "element"])
def test_a_test_event_is_queued_where_deliveries_are(
    what, staff, bus, hook_on, receiver, settings, monkeypatch
):
    path = f"doh.deliverers.deliver_hook{'s' if what == 'collection' else ''}_using_task"
    setattr(settings, f"HOOK_{what.upper()}_DELIVERER", path)
    monkeypatch.setattr(celery.doorbell, "_resting_until", float("inf"))
    act(staff, "hook", "send_test_event", [hook_on(bus)])
    assert receiver.posts == []
    from doh.deliverers.chores import work_once

    work_once()
    assert len(receiver.posts) == 1


def test_dead_letters_are_redriven(staff, bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0]
    hook_on(bus, target=receiver.url("/fail/1/x"))
    hook_on(bus)
    bus.save()
    assert act(staff, "delivery", "redrive", Delivery.objects.all()) == [
        "1 dead letter is sent again."
    ]
    from doh.deliverers.chores import work_once

    work_once()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"succeeded"}


def test_waiting_deliveries_are_retried_now(staff, bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0, 3600]
    hook_on(bus, target=receiver.url("/fail/1/x"))
    bus.save()
    assert act(staff, "delivery", "retry_now", Delivery.objects.all()) == ["1 delivery is due now."]
    from doh.deliverers.chores import work_once

    work_once()
    assert Delivery.objects.get().status == "succeeded"


def test_hooks_are_enabled_with_what_they_missed(staff, bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0]
    hook = hook_on(bus, target=receiver.url("/fail/1/x"))
    bus.save()
    Hook.objects.update(failing_since=hook.created_at, disabled_at=timezone.now())
    assert act(staff, "hook", "enable_and_redrive", [hook]) == [
        "1 hook is enabled.",
        "1 delivery is sent again.",
    ]
    assert Delivery.objects.waiting().count() == 1


def test_the_ledger_is_read_and_not_written(staff, bus, hook_on, receiver):
    hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    delivery, event = Delivery.objects.get(), Event.objects.get()
    page = staff.get(f"/admin/doh/delivery/{delivery.pk}/change/").content.decode()
    assert "500 Internal Server Error" in page
    assert 'name="_save"' not in page
    assert "{}" in staff.get(f"/admin/doh/event/{event.pk}/change/").content.decode()
    for model, row in (("delivery", delivery), ("event", event)):
        assert staff.get(f"/admin/doh/{model}/add/").status_code == 403
        assert staff.post(f"/admin/doh/{model}/{row.pk}/delete/").status_code == 403
        assert staff.post(f"/admin/doh/{model}/{row.pk}/change/", {}).status_code == 403


def test_an_event_shows_its_payload_as_it_can(staff, hook_on):
    parcel = Parcel.objects.create(code="a")
    hook_on(parcel)
    parcel.save()
    event = Event.objects.get()
    url = f"/admin/doh/event/{event.pk}/change/"
    assert "rendered for each hook" in staff.get(url).content.decode()
    Event.objects.update(payload="no json")
    assert "no json" in staff.get(url).content.decode()


@pytest.mark.parametrize("model", ["hook", "event", "delivery"])
def test_a_list_costs_the_same_for_many_rows(
    model, staff, bus, hook_on, django_assert_max_num_queries
):
    for _ in range(30):
        hook_on(bus)
        bus.save()
    with django_assert_max_num_queries(10):
        assert staff.get(f"/admin/doh/{model}/?q=1").status_code == 200


def test_the_ledger_leads_from_an_event_or_a_hook_to_its_deliveries(staff, bus, hook_on):
    hook, other = hook_on(bus), hook_on(bus)
    bus.save()
    event = Event.objects.get()
    for kind, row, found in (("event", event, 2), ("hook", hook, 1), ("hook", other, 1)):
        url = f"/admin/doh/delivery/?{kind}__id__exact={row.pk}"
        assert url in staff.get(f"/admin/doh/{kind}/{row.pk}/change/").content.decode()
        listed = staff.get(url)
        assert len(listed.context["cl"].queryset) == found
        assert f'href="/admin/doh/{kind}/{row.pk}/change/"' in listed.content.decode()


def test_a_delivery_is_listed_after_its_hook_was_deleted(staff, bus, hook_on):
    hook = hook_on(bus)
    bus.save()
    hook.delete()
    assert len(staff.get("/admin/doh/delivery/").context["cl"].result_list) == 1
    delivery = Delivery.objects.get()
    assert staff.get(f"/admin/doh/delivery/{delivery.pk}/change/").status_code == 200


def test_what_only_the_package_writes_is_not_offered_for_change(staff, bus, hook_on):
    for kind, title in (("event", "Events"), ("delivery", "Deliveries")):
        assert staff.get(f"/admin/doh/{kind}/").context["title"] == title


def test_hooks_are_filtered_by_the_models_that_have_hooks(staff, bus, hook_on):
    hook_on(bus)
    hook_on(Parcel.objects.create())
    text = staff.get("/admin/doh/hook/").content.decode()
    assert "content_type__id__exact=" in text
    assert "log entry" not in text
