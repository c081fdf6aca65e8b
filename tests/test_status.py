"""The status: what the ledger says, how it is judged, how it is told."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from doh.journal import get_journal
from doh.models import Attempt, Batch, Delivery, Event, Heartbeat, Hook
from doh.status import Broker, Level, Limits, Vitals, judge, read_detail, read_vitals, worst
from doh.status import ledger as status_ledger
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

MOVING = Vitals(event=None, batch=1.0, delivery=None, sweep=3.0)


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def status(**options):
    """The screen, and the level that the command ends with."""
    out = StringIO()
    try:
        call_command("doh_status", stdout=out, **options)
    except SystemExit as end:
        return out.getvalue(), end.code
    return out.getvalue(), 0


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def swept(db):
    get_journal().beat()


def test_a_ledger_where_all_is_well_is_ok(swept):
    text, level = status()
    assert level == 0
    assert text.startswith("Hooks are OK")
    assert "Broker           not used" in text


def test_work_leaves_a_heartbeat(db):
    text, level = status()
    assert (level, "nobody has ever swept" in text) == (1, True)
    call_command("doh_work", once=True, stdout=StringIO())
    assert status()[1] == 0


def test_each_sweep_moves_the_one_heartbeat(swept):
    Heartbeat.objects.update(at=ago(500))
    get_journal().beat()
    assert Heartbeat.objects.count() == 1
    assert read_vitals(get_journal()).sweep < 100


def test_a_sweep_long_ago_is_critical(swept):
    Heartbeat.objects.update(at=ago(500))
    text, level = status()
    assert level == 2
    assert "critical: the last sweep began 50" in text


def test_the_oldest_of_each_kind_is_found(bus, hook_on, swept, receiver):
    hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    Delivery.objects.update(due_at=ago(700))
    bus.save()
    Event.objects.filter(pk=Event.objects.last().pk).update(due_at=ago(90), finished_at=None)
    Batch.objects.create(pairs=[], created_at=ago(65), due_at=timezone.now())
    text, level = status()
    assert level == 2
    assert "critical: the oldest delivery has been due for 70" in text
    assert "warning: the oldest event has been due for 9" in text
    assert "warning: the oldest batch has been there for 6" in text


def test_what_is_claimed_or_not_yet_due_is_not_late(bus, hook_on, swept, receiver):
    hook_on(bus, target=receiver.url("/status/500"))
    bus.save()
    Event.objects.update(due_at=timezone.now() + timedelta(seconds=60), finished_at=None)
    vitals = read_vitals(get_journal())
    assert (vitals.event, vitals.delivery) == (None, None)


def test_failures_are_told_by_reason_and_hook(bus, hook_on, swept, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0]
    hook_on(bus, target=receiver.url("/status/500"))
    hook_on(bus, target=receiver.url("/status/410"))
    bus.save()
    settings.HOOK_RETRY_SCHEDULE = [0, 60]
    failing = hook_on(bus, target=receiver.url("/status/503"))
    bus.save()
    detail = read_detail(get_journal())
    assert (detail.dead, sum(detail.dead_by_reason.values())) == (1, 1)
    assert any("500" in reason for reason in detail.dead_by_reason)
    assert detail.disabled == 1
    assert any("410" in reason for reason in detail.disabled_by_reason)
    assert detail.failing[failing.pk] == 1
    text, level = status()
    assert level == 0
    assert "500 Internal Server Error" in text
    assert "most is owed to hook " in text
    assert f"{failing.pk} (1 waiting)" in text


def test_rates_are_those_of_the_last_minutes(bus, hook_on, swept, receiver):
    hook_on(bus)
    for _ in range(10):
        bus.save()
    Event.objects.filter(pk=Event.objects.first().pk).update(occurred_at=ago(1000))
    detail = read_detail(get_journal())
    assert detail.events == pytest.approx(9 / 5)
    assert detail.outcomes == {"succeeded": pytest.approx(10 / 5)}
    assert detail.attempts == 0


def test_a_rate_over_more_than_the_sample_takes_the_sample(
    bus, hook_on, swept, receiver, monkeypatch
):
    monkeypatch.setattr(status_ledger, "SAMPLE", 5)
    hook_on(bus)
    for _ in range(10):
        bus.save()
    Event.objects.update(occurred_at=ago(60))
    assert read_detail(get_journal()).events == pytest.approx(5, rel=0.5)


def test_json_says_the_same(swept):
    text, level = status(json=True)
    found = json.loads(text)
    assert (found["level"], level, found["findings"]) == ("ok", 0, [])
    assert found["broker"] is None
    assert found["detail"]["outcomes"] == {}


def test_limits_are_options(swept):
    Heartbeat.objects.update(at=ago(20))
    assert status(warn_sweep=10)[1] == 1
    assert status(warn_sweep=10, crit_sweep=15)[1] == 2


def test_watching_ends_with_the_last_level(swept, monkeypatch):
    looks = []

    def pause(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt
        Heartbeat.objects.update(at=ago(500))

    monkeypatch.setattr("doh.management.commands.doh_status.time.sleep", pause)
    text, level = status(watch=7.0)
    assert (looks, level) == ([7.0, 7.0], 2)
    assert "Hooks are OK" in text
    assert "Hooks are CRITICAL" in text


@pytest.mark.parametrize(
    ("vitals", "broker", "level"),
    [
        (MOVING, None, Level.OK),
        (MOVING, Broker({"doh.element": 7}), Level.OK),
        (MOVING, Broker(error="TimeoutError"), Level.CRITICAL),
        (Vitals(None, 60.0, None, 3.0), None, Level.WARNING),
        (Vitals(None, None, 600.0, 3.0), None, Level.CRITICAL),
        (Vitals(None, None, None, None), None, Level.WARNING),
    ],
)
def test_the_worst_finding_is_the_level_of_the_whole(vitals, broker, level):
    findings = judge(vitals, Limits(), broker)
    assert worst(findings) == level
    assert [one.level for one in findings] == sorted((o.level for o in findings), reverse=True)


def test_a_warning_limit_above_the_critical_one_does_not_hide_it():
    assert worst(judge(Vitals(20.0, None, None, 1.0), Limits(warn_age=99, crit_age=10))) == 2


def test_no_query_of_the_status_reads_a_whole_table(user, monkeypatch):
    """PostgreSQL answers every one of them from an index, in a ledger with a long past."""
    if connection.vendor != "postgresql":
        pytest.skip("asks PostgreSQL's planner")
    for bound in ("SAMPLE", "COUNTED"):
        monkeypatch.setattr(status_ledger, bound, 30)
    fill_ledger(user, 3_000)
    journal = get_journal()
    with CaptureQueriesContext(connection) as queries:
        read_vitals(journal)
        read_detail(journal)
        status_ledger.count_dead(journal)
    asked = [one["sql"] for one in queries if "doh_" in one["sql"]]
    assert len(asked) > 15
    with connection.cursor() as cursor:
        for sql in asked:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan on doh_" not in plan, f"{sql}\n{plan}"


def fill_ledger(user, number):
    """A ledger in which nearly everything is settled."""
    hook = Hook.objects.create(user=user, model=Vehicle, target="https://example.com/")
    kind, now = hook.content_type, timezone.now()
    hooks = [
        Hook(user=user, content_type=kind, object_id=n, target=hook.target, secret="x")
        for n in range(number)
    ]
    Hook.objects.bulk_create(hooks)
    events = [
        Event(content_type=kind, label="app.vehicle", object_id=n, finished_at=now)
        for n in range(number)
    ]
    Event.objects.bulk_create(events)
    states = {0: "dead", 1: "waiting"}
    deliveries = [
        Delivery(event=event, hook=hook, status=states.get(n % 300, "succeeded"), updated_at=now)
        for n, event in enumerate(events)
    ]
    Delivery.objects.bulk_create(deliveries)
    Attempt.objects.bulk_create(Attempt(delivery=one, number=1, at=now) for one in deliveries)
    Batch.objects.bulk_create(Batch(pairs=[], due_at=now) for _ in range(number))
    # Of an empty table that autovacuum has been to, PostgreSQL would rather read all.
    Heartbeat.objects.bulk_create(Heartbeat(name=f"chore {n}", at=now) for n in range(number))
    with connection.cursor() as cursor:
        for model in (Event, Delivery, Attempt, Hook, Batch, Heartbeat):
            cursor.execute(f"ANALYZE {model._meta.db_table}")
