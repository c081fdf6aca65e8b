"""Health checks over HTTP."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import DatabaseError
from django.utils import timezone

from doh import views
from doh.journal import get_journal
from doh.journal.base import Journal
from doh.models import Heartbeat

pytestmark = pytest.mark.django_db

HEALTH, DELIVERIES = "/hooks/health/", "/hooks/health/deliveries/"


@pytest.fixture
def stalled():
    Heartbeat.objects.create(name="sweep", at=timezone.now() - timedelta(days=1))


@pytest.fixture
def no_ledger(monkeypatch):
    def refuse(_self):
        raise DatabaseError("secret host name")

    monkeypatch.setattr(Journal, "last_beat", refuse)


def test_a_process_that_reaches_the_ledger_is_healthy_whatever_the_deliveries_do(client, stalled):
    answer = client.get(HEALTH)
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer["Cache-Control"]


def test_a_process_that_does_not_reach_the_ledger_is_not(client, no_ledger):
    for url in (HEALTH, DELIVERIES, "/open/"):
        answer = client.get(url)
        assert (answer.status_code, answer.content) == (503, b"unavailable\n")


def test_stalled_deliveries_are_told_apart_from_moving_ones(client, stalled):
    answer = client.get(DELIVERIES)
    assert (answer.status_code, answer.content) == (503, b"critical\n")
    get_journal().beat()
    answer = client.get(DELIVERIES)
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_a_warning_takes_nothing_out_of_service(client):
    answer = client.get(DELIVERIES)
    assert (answer.status_code, answer.content) == (200, b"warning\n")


@pytest.mark.parametrize(
    ("staff", "permitted", "told"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_figures_are_for_staff_that_may_view_deliveries(client, stalled, staff, permitted, told):
    user = get_user_model().objects.create(username="eve", is_staff=staff)
    if permitted:
        user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(user)
    answer = client.get(DELIVERIES)
    assert answer.status_code == 503
    assert answer["Content-Type"].startswith("application/json") == told
    if told:
        assert answer.json()["detail"]["events_due"] == 0
        assert answer.json()["findings"]


def test_a_user_model_that_knows_no_staff_gets_one_word(rf, stalled):
    request = rf.get(DELIVERIES)
    request.user = object()
    assert views.deliveries(request).content == b"critical\n"


def test_a_project_may_show_figures_to_everybody(client):
    assert client.get("/open/").json()["level"] == "warning"


@pytest.mark.parametrize("url", [HEALTH, DELIVERIES])
def test_only_reading_is_allowed(client, url):
    assert client.post(url).status_code == 405
    assert client.head(url).status_code == 200
