"""The connections that tasks keep open beside them."""

import psycopg
import pytest
from django.db import connection

from doh.models import Hook
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
