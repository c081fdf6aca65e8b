import os
from contextlib import ExitStack

import pytest
import redis
from celery import current_app

from doh.deliverers import celery
from doh_tasks.limits.store import store as limits
from doh_tasks.pump import stop_pump
from tests.celery_app import app
from tests.workers import Workers

TASK, ELEMENT_TASK = (
    "doh.deliverers.deliver_hooks_using_task",
    "doh.deliverers.deliver_hook_using_task",
)


@pytest.fixture(autouse=True)
def broker(redis_url, settings, monkeypatch):
    """An empty broker, an app that speaks to it, and settings that deliver by Celery."""
    app.set_default()
    assert current_app.main == "tests"
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    with app.connection_for_write() as connection, connection.channel() as channel:
        for queue in app.amqp.queues.values():
            queue(channel).declare()
            queue(channel).purge()
    for resting in (celery.doorbell, limits):
        monkeypatch.setattr(resting, "_resting_until", 0.0)
    settings.HOOK_COLLECTION_DELIVERER = TASK
    settings.HOOK_ELEMENT_DELIVERER = ELEMENT_TASK
    yield client
    # A test that runs a task itself has made a pump here.
    stop_pump()
    client.close()


@pytest.fixture
def workers(tmp_path, transactional_db):
    """Makes the Celery processes of a test."""
    with ExitStack() as made:

        def make(**overrides):
            chosen = {
                "HOOK_COLLECTION_DELIVERER": TASK,
                "HOOK_ELEMENT_DELIVERER": ELEMENT_TASK,
                **overrides,
            }
            return made.enter_context(Workers(tmp_path, **chosen))

        yield make


@pytest.fixture
def rabbit():
    """Whether the broker is RabbitMQ."""
    return os.environ.get("CELERY_BROKER_URL", "").startswith("amqp")
