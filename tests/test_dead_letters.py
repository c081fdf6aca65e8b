"""``manage.py doh_dead_letters`` and ``doh_retry_now``."""

import json
import signal
from datetime import timedelta
from io import StringIO

import pytest
import requests
from django.core.management import CommandError, call_command
from django.utils import timezone

from doh.deliverers.chores import work_once
from doh.journal import Journal
from doh.models import Delivery, Event
from tests import project
from tests.app.models import Parcel, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


def run(command, *arguments):
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def letters(*arguments):
    return run("doh_dead_letters", *arguments)


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def two(bus, hook_on, receiver, settings):
    """A dead letter of a vehicle, another of a parcel."""
    settings.HOOK_RETRY_SCHEDULE = [0]
    parcel = Parcel.objects.create(code="a")
    hook_on(bus, target=receiver.url("/fail/1/bus"))
    hook_on(parcel, target="http://LOCALHOST:1/")
    bus.save()
    parcel.save()
    return Delivery.objects.dead().order_by("pk")


def test_letters_are_listed_with_what_they_are_about(two):
    bus, parcel = letters("list").splitlines()[:2]
    assert "app.vehicle" in bus
    assert "127.0.0.1" in bus
    assert "500 Internal Server Error" in bus
    assert "app.parcel a changed" in parcel
    assert letters("list").endswith("2 dead letter(s).\n")
    assert letters("list", "--limit", "1").endswith("1 dead letter(s).\n")


def test_a_list_for_programs_has_an_object_per_line(two):
    rows = [json.loads(line) for line in letters("list", "--json").splitlines()]
    assert [row["id"] for row in rows] == [letter.pk for letter in two]
    assert rows[0]["webhook_id"] == Event.objects.get(pk=two[0].event_id).uid
    assert rows[0] | {"attempts": 1, "status_code": 500} == rows[0]
    assert rows[0]["host"].startswith("127.0.0.1:")


def test_filters_choose_and_narrow_down(two):
    bus, parcel = two
    Delivery.objects.filter(pk=bus.pk).update(updated_at=timezone.now() - timedelta(days=3))
    uid = Event.objects.get(pk=bus.event_id).uid

    def chosen(*filters):
        rows = letters("list", "--json", *filters).splitlines()
        return [json.loads(line)["id"] for line in rows]

    assert chosen("--hook", str(bus.hook_id)) == [bus.pk]
    assert chosen("--hook", str(bus.hook_id), "--hook", str(parcel.hook_id)) == [bus.pk, parcel.pk]
    assert chosen("--host", "Localhost") == [parcel.pk]
    assert chosen("--host", "localhost:1") == [parcel.pk]
    assert chosen("--host", "localhost:2") == []
    assert chosen("--model", "app.Tram") == [bus.pk]
    assert chosen("--reason", "internal server") == [bus.pk]
    assert chosen("--event", str(parcel.event_id)) == [parcel.pk]
    assert chosen("--event", uid) == [bus.pk]
    assert chosen("--action", "created") == []
    assert chosen("--older-than", "2d") == [bus.pk]
    assert chosen("--newer-than", "2d") == [parcel.pk]
    assert chosen("--model", "app.Vehicle", "--newer-than", "1h") == []


def test_redriven_letters_are_sent_again(two, receiver):
    assert letters("redrive", "--model", "app.Vehicle") == "1 dead letter(s) redriven.\n"
    assert letters("redrive", "--model", "app.Vehicle") == "0 dead letter(s) redriven.\n"
    work_once()
    assert [post.path for post in receiver.posts] == ["/fail/1/bus"] * 2
    assert Delivery.objects.filter(status="succeeded").count() == 1


def test_purged_letters_are_gone_from_the_list(two):
    assert letters("purge", "--all") == "2 dead letter(s) purged.\n"
    assert letters("list") == "0 dead letter(s).\n"
    assert letters("redrive", "--all") == "0 dead letter(s) redriven.\n"


@pytest.mark.parametrize("verb", ["redrive", "purge"])
def test_a_dry_run_counts_and_changes_nothing(verb, two):
    assert letters(verb, "--all", "--dry-run").startswith("2 dead letter(s) would be")
    assert Delivery.objects.dead().count() == 2


@pytest.mark.parametrize("verb", ["redrive", "purge"])
def test_whoever_means_all_of_them_must_say_so(verb, two):
    with pytest.raises(CommandError, match="--all"):
        letters(verb)
    assert Delivery.objects.dead().count() == 2


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["--older-than", "soon"], "12h"),
        (["--older-than", "9999999w"], "century"),
        (["--model", "app.Vehicel"], "did you mean app.Vehicle"),
        (["--hook", "x"], "--hook"),
    ],
)
def test_a_wrong_filter_is_an_error_that_names_the_mend(arguments, mend, db):
    with pytest.raises(CommandError, match=mend):
        letters("list", *arguments)


def test_progress_is_drawn_on_stderr(two, capsys):
    run("doh_dead_letters", "redrive", "--all")
    assert "2/2" in capsys.readouterr().err


def test_an_interrupted_run_says_how_far_it_came(two, monkeypatch):
    monkeypatch.setattr("doh.letters.STEP", 1)
    real = Journal.redrive
    calls = []

    def redrive(self, *arguments):
        calls.append(arguments)
        signal.raise_signal(signal.SIGINT)
        return real(self, *arguments)

    monkeypatch.setattr(Journal, "redrive", redrive)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doh_dead_letters", "redrive", "--all", stdout=out)
    assert ended.value.code == 130
    assert out.getvalue() == "Interrupted, 1 redriven: run it again for the rest.\n"
    assert Delivery.objects.dead().count() == 1
    assert len(calls) == 1


def test_waiting_deliveries_are_retried_when_somebody_says_so(bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0, 3600, 3600]
    hook_on(bus, target=receiver.url("/fail/1/bus"))
    bus.save()
    work_once()
    assert len(receiver.posts) == 1
    with pytest.raises(CommandError, match="--all"):
        run("doh_retry_now")
    assert run("doh_retry_now", "--all", "--dry-run") == "1 delivery(s) would be due now.\n"
    assert run("doh_retry_now", "--host", "127.0.0.1") == "1 delivery(s) due now.\n"
    work_once()
    assert Delivery.objects.get().attempts == 2
    assert Delivery.objects.get().status == "succeeded"


def test_an_outcome_that_no_column_takes_is_a_dead_letter_and_its_neighbours_are_delivered(
    bus, hook_on, settings
):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.element"
    hooks = [hook_on(bus) for _ in range(3)]
    answer = requests.Response()
    answer.status_code = -1
    project.reset()
    project.answers.extend([None, answer, None])
    bus.save()
    rows = dict(Delivery.objects.values_list("hook_id", "status"))
    assert [rows[hook.pk] for hook in hooks] == ["succeeded", "dead", "succeeded"]
    assert "could not be written" in letters("list")
    project.reset()
