"""The retry schedule of one hook."""

import pytest
from django.core.exceptions import ValidationError

from doh import conf
from doh.deliverers.chores import work_once
from doh.exceptions import HookConfigurationError
from doh.models import Delivery, Hook
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

BAD = [[], "5", 5, [1, -1], ["5"], [True], [float("nan")], [float("inf")], [1e9], [0] * 1001, {}]


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def test_a_hook_may_have_a_schedule_of_its_own(bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0]
    patient = hook_on(bus, target=receiver.url("/status/500"), retry_schedule=[0, 0, 0])
    usual = hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    work_once()
    rows = dict(Delivery.objects.dead().values_list("hook_id", "attempts"))
    assert rows == {patient.pk: 3, usual.pk: 1}


def test_a_schedule_may_be_changed_while_deliveries_wait(bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0, 0, 0, 0]
    hook = hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    Hook.objects.filter(pk=hook.pk).update(retry_schedule=[0, 0])
    work_once()
    assert Delivery.objects.dead().get().attempts == 2


@pytest.mark.parametrize("value", BAD)
def test_no_other_value_can_be_written(value, bus, hook_on):
    with pytest.raises(ValueError, match=r"such as \[0, 60, 3600\]"):
        hook_on(bus, retry_schedule=value)
    hook = hook_on(bus)
    with pytest.raises(ValueError, match="retry_schedule"):
        Hook.objects.update(retry_schedule=value)
    hook.retry_schedule = value
    if value not in ([], {}):  # Django's forms take these for "empty".
        with pytest.raises(ValidationError, match="retry_schedule"):
            hook.full_clean()


@pytest.mark.parametrize("value", BAD)
def test_nor_is_it_one_for_the_settings(value, settings):
    settings.HOOK_RETRY_SCHEDULE = value
    with pytest.raises(HookConfigurationError, match=r"such as \[0, 60, 3600\]"):
        conf.retry_schedule()


def test_an_empty_form_field_means_the_settings(client, django_user_model, bus, hook_on):
    client.force_login(django_user_model.objects.create_superuser("grace"))
    hook = hook_on(bus, retry_schedule=[0, 1])
    url = f"/admin/doh/hook/{hook.pk}/change/"
    fields = {
        "user": hook.user_id,
        "content_type": hook.content_type_id,
        "object_id": bus.pk,
        "action": "changed",
        "target": hook.target,
    }
    page = client.post(url, fields | {"retry_schedule": "[-1]"})
    assert "delays in seconds" in str(page.context["adminform"].form.errors["retry_schedule"])
    client.post(url, fields | {"retry_schedule": ""})
    hook.refresh_from_db()
    assert hook.retry_schedule is None
