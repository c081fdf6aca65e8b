"""Hooks that fail for days: warned of, disabled, enabled again with what they missed."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from doh.deliverers.chores import work_once
from doh.failing import MIN_EVENTS, disable_failing
from doh.journal import get_journal
from doh.models import Attempt, Delivery, Event, Hook
from doh.signals import hook_disabled, hook_failing
from tests.app.models import Parcel, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def told():
    """What the two signals told, in order."""
    heard = []

    def note(signal, **what):
        what.pop("sender")
        heard.append((signal, what))

    for signal in (hook_failing, hook_disabled):
        signal.connect(note, weak=False, dispatch_uid="test")
    yield heard
    for signal in (hook_failing, hook_disabled):
        signal.disconnect(dispatch_uid="test")


@pytest.fixture
def history(bus):
    """Write what a hook went through into the ledger."""
    now = timezone.now()

    def write(hook, *, ago, code=None, ok=False, host="a.example", times=1):
        for _ in range(times):
            event = Event.objects.create(
                content_type=hook.content_type, label="app.vehicle", finished_at=now
            )
            delivery = Delivery.objects.create(
                event=event,
                hook=hook,
                status="succeeded" if ok else "dead",
                attempts=1,
                status_code=200 if ok else code,
                host=host,
                updated_at=now - ago,
            )
            if not ok:
                Attempt.objects.create(delivery=delivery, number=1, at=now - ago, status_code=code)
        return now - ago

    return write


def look():
    return disable_failing(get_journal())


def fail_for(history, hook, days, **how):
    """So many days ago the first failure, the last one just now, and enough in between."""
    how = {"code": 500, **how}
    since = history(hook, ago=days * DAY, **how)
    history(hook, ago=HOUR, times=MIN_EVENTS - 1, **how)
    return since


def test_a_hook_that_fails_for_two_days_is_warned_of_once(hook_on, bus, history, told):
    hook = hook_on(bus)
    since = fail_for(history, hook, 2)
    assert look().warned == 1
    assert look().warned == 0
    assert told == [(hook_failing, {"hook": hook, "since": since})]
    hook.refresh_from_db()
    assert (hook.disabled_at, hook.failing_since) == (None, since)


def test_a_hook_that_fails_for_five_days_is_disabled(hook_on, bus, history, told):
    hook, other = hook_on(bus), hook_on(bus)
    fail_for(history, hook, 5)
    fail_for(history, other, 1)
    assert look().disabled == 1
    assert look().disabled == 0
    ((signal, what),) = told
    assert (signal, what["hook"]) == (hook_disabled, hook)
    assert f"{MIN_EVENTS} events" in what["reason"]
    assert what["hook"].disabled_reason == what["reason"]
    assert list(Hook.objects.filter(disabled_at=None)) == [other]


def test_the_time_of_failing_is_remembered_when_its_events_are_pruned(hook_on, bus, history, told):
    hook = hook_on(bus)
    fail_for(history, hook, 4.9)
    look()
    Attempt.objects.filter(at__lt=timezone.now() - 2 * DAY).delete()
    history(hook, ago=1.5 * DAY, code=500)
    Hook.objects.update(failing_since=timezone.now() - 5 * DAY)
    assert look().disabled == 1


def test_a_success_in_between_starts_the_time_anew(hook_on, bus, history, told):
    hook = hook_on(bus)
    fail_for(history, hook, 6)
    history(hook, ago=1.9 * DAY, ok=True)
    assert (look().disabled, look().warned) == (0, 0)


def test_a_retry_of_something_old_that_was_accepted_counts_as_success(hook_on, bus, history, told):
    hook = hook_on(bus)
    history(hook, ago=2 * HOUR, ok=True)
    history(hook, ago=7 * DAY, ok=True)
    fail_for(history, hook, 6)
    assert look().disabled == 0
    hook.refresh_from_db()
    assert hook.failing_since > timezone.now() - 2 * HOUR


def test_a_hook_that_works_again_is_forgotten(hook_on, bus, history, told):
    hook = hook_on(bus)
    fail_for(history, hook, 3)
    look()
    history(hook, ago=timedelta(0), ok=True)
    look()
    hook.refresh_from_db()
    assert (hook.failing_since, hook.warned_at) == (None, None)


@pytest.mark.parametrize(
    ("times", "last"), [(MIN_EVENTS - 2, HOUR), (MIN_EVENTS - 1, 6 * DAY - 23 * HOUR)]
)
def test_a_few_events_or_a_short_while_prove_nothing(times, last, hook_on, bus, history, told):
    hook = hook_on(bus)
    history(hook, ago=6 * DAY, code=500)
    history(hook, ago=last, code=500, times=times)
    Hook.objects.update(failing_since=timezone.now() - 6 * DAY)
    assert (look().disabled, look().warned, told) == (0, 0, [])


@pytest.mark.parametrize(("down", "own_outage", "disabled"), [(3, True, 0), (2, False, 4)])
def test_no_hook_is_blamed_for_our_own_network(
    down, own_outage, disabled, hook_on, bus, history, told
):
    """Of five hosts one works; of the others so many give no answer, the rest a bad one."""
    for number in range(4):
        code = None if number < down else 500
        fail_for(history, hook_on(bus), 6, code=code, host=f"{number}.example")
    history(hook_on(bus), ago=HOUR, ok=True, host="4.example")
    looked = look()
    assert (looked.own_outage, looked.disabled) == (own_outage, disabled)


def test_an_outage_of_our_own_does_not_count_afterwards(hook_on, bus, history, told):
    hooks = [hook_on(bus) for _ in range(5)]
    for number, hook in enumerate(hooks):
        fail_for(history, hook, 6, code=None, host=f"{number}.example")
    assert look().own_outage
    for number, hook in enumerate(hooks[:4]):
        history(hook, ago=timedelta(0), ok=True, host=f"{number}.example")
    looked = look()
    assert (looked.own_outage, looked.disabled, looked.warned, told) == (False, 0, 0, [])


def test_four_hosts_are_too_few_to_blame_our_network(hook_on, bus, history, told):
    for number in range(4):
        fail_for(history, hook_on(bus), 6, code=None, host=f"{number}.example")
    assert look().disabled == 4


def test_the_days_are_settings_and_may_be_never(hook_on, bus, history, told, settings):
    settings.HOOK_WARN_AFTER, settings.HOOK_DISABLE_AFTER = 30, None
    hook = hook_on(bus)
    fail_for(history, hook, 10)
    assert (look().warned, look().disabled) == (0, 0)
    settings.HOOK_DISABLE_AFTER = 9.5
    assert look().disabled == 1


def test_doh_work_looks_too(hook_on, bus, history, told, capsys):
    fail_for(history, hook_on(bus), 5)
    call_command("doh_work", once=True)
    assert [signal for signal, _ in told] == [hook_disabled]


def test_a_410_and_a_bad_target_are_told_after_the_commit(hook_on, bus, receiver, told):
    gone = hook_on(bus, target=receiver.url("/status/410"))
    bad = hook_on(bus)
    Hook.objects.filter(pk=bad.pk).update(target="nowhere")

    def check(hook, **_):
        assert Hook.objects.get(pk=hook.pk).disabled_at is not None
        raise RuntimeError("a receiver of the project's own")

    hook_disabled.connect(check, dispatch_uid="check")
    bus.save()
    hook_disabled.disconnect(dispatch_uid="check")
    reasons = {what["hook"]: what["reason"] for _, what in told}
    assert reasons.keys() == {gone, bad}
    assert "410" in reasons[gone]
    assert "http" in reasons[bad]
    assert Delivery.objects.count() == 2


def disabled_with_a_backlog(hook, instance, settings, receiver):
    """Three events: one dead, one cancelled when its turn came, and one 410."""
    settings.HOOK_RETRY_SCHEDULE = [0]
    instance.save()
    settings.HOOK_RETRY_SCHEDULE = [0, 0]
    instance.save()
    Hook.objects.filter(pk=hook.pk).update(target=receiver.url("/status/410"))
    instance.save()
    Hook.objects.filter(pk=hook.pk).update(target=receiver.url("/"))
    work_once()
    return Delivery.objects.filter(hook=hook)


@pytest.mark.parametrize("model", [Vehicle, Parcel])
def test_whoever_is_enabled_again_gets_what_it_missed(model, hook_on, receiver, settings):
    instance = Vehicle.objects.create() if model is Vehicle else Parcel.objects.create(code="a")
    hook = hook_on(instance, target=receiver.url("/status/500"))
    rows = disabled_with_a_backlog(hook, instance, settings, receiver)
    Hook.objects.update(failing_since=timezone.now() - DAY)
    assert sorted(rows.values_list("status", flat=True)) == ["cancelled", "cancelled", "dead"]
    bodies = [post.body for post in receiver.posts]
    assert hook.enable(redrive=True) == 3
    assert hook.is_enabled
    assert hook.enable(redrive=True) == 0
    receiver.reset()
    work_once()
    assert set(rows.values_list("status", "attempts")) == {("succeeded", 1)}
    assert {post.body for post in receiver.posts} == set(bodies)


def test_what_a_hook_failed_at_before_it_was_disabled_by_hand_is_not_sent(
    hook_on, bus, receiver, settings
):
    settings.HOOK_RETRY_SCHEDULE = [0]
    hook = hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    hook.enable(redrive=True)
    assert Delivery.objects.dead().count() == 1
    Hook.objects.all().disable("by hand", timezone.now())
    assert hook.enable(redrive=True) == 0


def test_a_queryset_enables_with_or_without_what_was_missed(hook_on, bus, receiver, settings):
    hook = hook_on(bus, target=receiver.url("/status/500"))
    rows = disabled_with_a_backlog(hook, bus, settings, receiver)
    assert Hook.objects.enable() == 1
    assert not rows.waiting().exists()
    Hook.objects.update(disabled_at=timezone.now() - HOUR)
    assert Hook.objects.filter(pk=hook.pk).enable(redrive=True) == 1
    assert rows.waiting().count() == 3


def test_old_failures_of_an_enabled_hook_do_not_count(hook_on, bus, history, told):
    hook = hook_on(bus)
    fail_for(history, hook, 6)
    assert look().disabled == 1
    hook.enable()
    assert look().disabled == 0
    hook.refresh_from_db()
    assert (hook.disabled_at, hook.failing_since) == (None, None)
