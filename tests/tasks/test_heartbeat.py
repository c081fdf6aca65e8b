"""The file that a worker touches, and what a deployment's probe makes of it."""

import logging
import os
import signal
import subprocess
import sys

import pytest

from doh_tasks.heartbeat import touch
from tests.workers import COLLECTION, ROOT, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PROBE = ROOT / "deploy" / "compose" / "alive.py"
#: Seconds between heartbeats are two.
LIMIT = "4"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "alive"


def probe(file, **variables):
    """Exit status of the probe of a deployment."""
    environment = os.environ | {"HOOK_HEARTBEAT_PATH": str(file)} | variables
    command = [sys.executable, "-W", "ignore", str(PROBE), LIMIT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode


@pytest.mark.workers
def test_a_worker_that_hangs_is_found_dead_and_one_without_a_broker_is_not(file, workers):
    own = workers(HOOK_HEARTBEAT_PATH=str(file))
    assert probe(file) == 1
    worker = own.worker("collection", COLLECTION)
    own.until(lambda: probe(file) == 0, "collection")
    worker.send_signal(signal.SIGSTOP)
    try:
        own.until(lambda: probe(file) == 1, "collection")
        nobody = "redis://127.0.0.1:1/0"
        assert probe(file, CELERY_BROKER_URL=nobody) == 0
        assert probe(file, CELERY_BROKER_URL="amqp://127.0.0.1:1//") == 0
    finally:
        worker.send_signal(signal.SIGCONT)
    wait_until(lambda: probe(file) == 0)


def test_without_the_setting_nothing_is_touched(tmp_path, settings):
    settings.HOOK_HEARTBEAT_PATH = None
    touch()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_touched_is_complained_of_once(tmp_path, settings, caplog):
    settings.HOOK_HEARTBEAT_PATH = str(tmp_path / "nowhere" / "alive")
    with caplog.at_level(logging.ERROR):
        touch()
        touch()
    assert caplog.text.count("can't be touched: FileNotFoundError") == 1
