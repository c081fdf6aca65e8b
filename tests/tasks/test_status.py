"""The status beside a real broker and real workers."""

import json
import re
import subprocess
from io import StringIO
from types import SimpleNamespace

import pytest
from celery import current_app
from django.core.management import call_command

from doh.journal import get_journal
from doh.status import read_vitals, survey_broker, survey_circuits
from doh.types import Outcome, Verdict
from doh_tasks.limits import report, reporting, state
from doh_tasks.limits.store import Store, host_key
from tests.celery_app import app
from tests.tasks.conftest import ELEMENT_TASK, TASK
from tests.workers import management

pytestmark = pytest.mark.django_db(transaction=True)


def test_messages_that_wait_are_counted_by_queue(broker):
    current_app.send_task("doh_tasks.maintenance.sweep", ignore_result=True)
    found = survey_broker()
    assert found.error == ""
    assert found.queues["doh.maintenance"] == 1
    assert found.queues["doh.element"] == 0
    assert "celery" not in found.queues


def test_a_broker_that_is_not_there_is_critical(monkeypatch):
    get_journal().beat()
    # This one first: unset, it is the other one, and is put back as what it was.
    monkeypatch.setattr(app.conf, "broker_read_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("doh_status", stdout=out)
    assert end.value.code == 2
    assert "the broker does not answer" in out.getvalue()


@pytest.fixture
def failing_hosts(monkeypatch, settings):
    """Workers have seen one host fail, and heard another ask for a pause: ten minutes each."""
    settings.HOOK_CIRCUIT_BREAKER = {"pause": 600}
    monkeypatch.setattr(reporting, "view", reporting.View())
    bad = Outcome(Verdict.RETRY, "no", host="down.example")
    asked = Outcome(Verdict.RETRY, "no", host="busy.example", status_code=429, retry_after=600.0)
    report([SimpleNamespace(outcome=one) for one in (*[bad] * 5, asked)])


def test_hosts_that_are_not_sent_to_are_shown_and_not_judged(failing_hosts):
    get_journal().beat()
    out = StringIO()
    call_command("doh_status", stdout=out)
    text = out.getvalue()
    assert text.startswith("Hooks are OK")
    assert "Circuits         2\n" in text
    assert re.search(r"^  down.example  open for \d+ s, next probe in 10 min$", text, re.MULTILINE)
    assert "  busy.example  asked for a pause of another 10 min\n" in text


def test_a_circuit_whose_pause_is_over_is_half_open(failing_hosts, broker):
    broker.hset(host_key("down.example"), mapping={"until": 1_000_000})
    get_journal().beat()
    out = StringIO()
    call_command("doh_status", stdout=out, json=True)
    hosts = {one["host"]: one for one in json.loads(out.getvalue())["circuits"]["hosts"]}
    assert hosts["down.example"]["state"] == "half_open"


def test_a_command_line_reads_circuits_that_no_import_of_its_own_brought_along(failing_hosts):
    get_journal().beat()
    found = status_of_another_process()["circuits"]
    assert found["error"] == ""
    down, busy = found["hosts"]
    assert (down["host"], down["state"], busy["host"], busy["state"]) == (
        "down.example",
        "open",
        "busy.example",
        "paused",
    )
    assert down["open_for"] + down["opened_ago"] == pytest.approx(600)
    assert (busy["opened_ago"], busy["paused_for"] > 60) == (None, True)


def test_circuits_that_cannot_be_read_are_not_known_and_not_critical(settings, monkeypatch):
    get_journal().beat()
    monkeypatch.setattr(state, "store", Store())
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    out = StringIO()
    call_command("doh_status", stdout=out)
    assert "Circuits         not known: their Redis does not answer" in out.getvalue()


def test_an_app_that_names_no_module_of_the_workers_knows_no_circuits(monkeypatch):
    monkeypatch.setattr("doh.status.circuits.brought", [])
    assert "names none of the workers' modules" in survey_circuits().error


def test_a_module_that_cannot_be_imported_leaves_the_rest_of_the_status(monkeypatch):
    def refuse():
        raise ImportError

    monkeypatch.setattr("doh.status.circuits.import_workers_modules", refuse)
    get_journal().beat()
    out = StringIO()
    call_command("doh_status", stdout=out)
    assert "Circuits         not known: the workers' modules can't be imported" in out.getvalue()


def status_of_another_process():
    settings = {"HOOK_COLLECTION_DELIVERER": TASK, "HOOK_ELEMENT_DELIVERER": ELEMENT_TASK}
    command = management("doh_status", "--json", "--warn-sweep=600", **settings)
    return json.loads(subprocess.run(**command, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.workers
def test_beat_broker_and_worker_together_make_the_heartbeat(workers):
    own = workers()
    own.worker("maintenance", "doh.maintenance")
    own.beat()
    own.until(lambda: read_vitals(get_journal()).sweep is not None, "maintenance")
