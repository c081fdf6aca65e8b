"""The connections that tasks keep open beside them."""

import threading
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connection

from doh.models import Hook
from doh_tasks import aside
from doh_tasks.aside import _run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def questions(monkeypatch):
    """How often the database was asked whether it is still there."""
    asked = []
    is_usable = connection.is_usable

    def ask():
        asked.append(is_usable())
        return asked[-1]

    connection.ensure_connection()
    monkeypatch.setattr(connection, "is_usable", ask)
    return asked


def test_a_task_does_not_ask_a_silent_database_whether_it_is_there(questions):
    assert _run(Hook.objects.exists) is False
    assert questions == []


def test_a_connection_that_the_server_ended_between_two_tasks_is_opened_again(questions):
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid]
        )
    assert _run(Hook.objects.exists) is False
    assert questions == [False]


def test_a_connection_that_was_closed_here_is_opened_again(questions):
    connection.connection.close()
    assert _run(Hook.objects.exists) is False
    assert questions == [False]


@pytest.mark.parametrize(("process", "most"), [(SimpleNamespace(index=0), 1), (object(), 8)])
def test_a_prefork_child_has_one_thread_and_one_connection_and_others_have_several(
    process, most, monkeypatch
):
    monkeypatch.setattr(aside, "current_process", lambda: process)
    meeting = threading.Barrier(most)
    with aside._threads.__wrapped__(0) as pool:
        waiting = [pool.submit(meeting.wait, 60) for _ in range(most)]
        assert sorted(one.result() for one in waiting) == list(range(most))
        assert len(pool._threads) == most
        for done in [pool.submit(threading.get_ident) for _ in range(50)]:
            done.result()
        assert len(pool._threads) == most
