"""From Redis to RabbitMQ and back with traffic on, as docs/operations.md has it, step by step."""

import json
import os
import re
import subprocess
from contextlib import ExitStack

import pytest

from doh.models import Delivery, Event
from doh_tasks.queues import DEAD_LETTER_QUEUE
from tests.app.models import Vehicle
from tests.tasks.conftest import ELEMENT_TASK, TASK
from tests.workers import COLLECTION, ELEMENT, ROOT, Workers, management, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]

HOOKS = 3
SETTINGS = {"HOOK_COLLECTION_DELIVERER": TASK, "HOOK_ELEMENT_DELIVERER": ELEMENT_TASK}


class Deployment:
    """All that speaks to one broker: a set of workers, beat, a web process."""

    def __init__(self, folder, stack, broker, redis):
        folder.mkdir()
        self.variables = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": redis}
        self.settings = {**SETTINGS, "HOOK_REDIS_URL": redis}
        own = Workers(folder, self.variables, **self.settings)
        self.processes = stack.enter_context(own)

    def start_workers(self):
        self.processes.worker("workers", f"{COLLECTION},{ELEMENT}", "-c", "2")

    def start_web(self, bus):
        self.processes.run("web", "tests.moving.web", str(bus.pk))
        self.processes.until(lambda: "saving" in self.processes.log("web"), "web")

    def stop(self, name):
        self.processes.processes[name].terminate()
        assert self.processes.wait(name) == 0, self.processes.log(name)

    def waiting(self):
        """Messages that wait in the queues, as ``doh_status`` has them."""
        command = management("doh_status", "--json", **self.settings)
        command["env"] |= self.variables
        done = subprocess.run(**command, check=False, stdout=subprocess.PIPE)
        broker = json.loads(done.stdout)["broker"]
        if broker["error"]:
            return {broker["error"]}
        return {queue for queue, number in broker["queues"].items() if number} - {DEAD_LETTER_QUEUE}


@pytest.fixture
def deploy(tmp_path, redis_url):
    """Makes a deployment over a broker."""
    with ExitStack() as stack:
        yield lambda name, broker: Deployment(tmp_path / name, stack, broker, redis_url)


def move(old, new, bus, receiver):
    """Steps 2 to 5 of the page."""
    new.start_workers()
    old.stop("beat")
    new.processes.beat()
    new.start_web(bus)
    old.stop("web")
    old.processes.until(lambda: not old.waiting(), "workers")
    old.stop("workers")
    told = len(receiver.posts)
    wait_until(lambda: len(receiver.posts) >= told + 50, lambda: new.processes.log("workers"))


def test_the_page_has_the_steps_that_are_followed_here():
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.split("\n## From Redis to RabbitMQ")[1].split("\n## ")[0]
    steps = re.findall(r"^\d\. (\S+ \S+ \S+)", section, re.MULTILINE)
    assert steps == [
        "Start RabbitMQ. Set",
        "Start a second",
        "Restart beat with",
        "Restart the web",
        "With the old",
    ]


def test_nothing_is_lost_on_the_way_to_rabbitmq_and_back(hook_on, receiver, deploy, redis_url):
    bus = Vehicle.objects.create(name="55")
    for number in range(HOOKS):
        hook_on(bus, target=receiver.url(f"/{number}"))
    redis = deploy("redis", redis_url)
    redis.start_workers()
    redis.processes.beat()
    redis.start_web(bus)
    receiver.wait_for_posts(50, 60)

    rabbitmq = deploy("rabbitmq", os.environ["CELERY_BROKER_URL"])
    move(redis, rabbitmq, bus, receiver)
    again = deploy("again", redis_url)
    move(rabbitmq, again, bus, receiver)

    again.stop("web")
    again.processes.until(lambda: not Event.objects.filter(finished_at=None).exists(), "workers")
    events = Event.objects.values_list("uid", flat=True)
    owed = {(uid, f"/{number}") for uid in events for number in range(HOOKS)}
    got = [(post.headers["webhook-id"], post.path) for post in receiver.posts]
    assert owed == set(got)
    assert Delivery.objects.filter(status="succeeded").count() == len(owed)
    print(f"{len(owed)} owed, {len(got)} received")
