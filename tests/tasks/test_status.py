"""The status beside a real broker and real workers."""

from io import StringIO

import pytest
from celery import current_app
from django.core.management import call_command

from doh.journal import get_journal
from doh.status import read_vitals, survey_broker
from tests.celery_app import app

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


@pytest.mark.workers
def test_beat_broker_and_worker_together_make_the_heartbeat(workers):
    own = workers()
    own.worker("maintenance", "doh.maintenance")
    own.beat()
    own.until(lambda: read_vitals(get_journal()).sweep is not None, "maintenance")
