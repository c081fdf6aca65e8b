"""What must stay unsaid, where Celery carries it: broker, results, events, Flower, logs."""

import json
import threading
import urllib.request

import pytest
import redis
from services import free_port

from doh.deliverers import deliver_hook_using_task
from doh.models import Delivery, Event, Hook
from doh.signals import hook_event
from tests import marks
from tests.app.models import Parcel, Vehicle
from tests.celery_app import app
from tests.workers import COLLECTION, ELEMENT, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]

PATHS = ("/ok", "/status/500", "/status/410")
LOUD = ("-c", "1", "-l", "DEBUG", "-E")
QUEUES = f"{ELEMENT},doh.dead_letter"


class Wiretap:
    """Every command that reaches Redis or Valkey."""

    def __init__(self, url):
        self._client = redis.Redis.from_url(url, socket_timeout=None)
        self._monitor = self._client.monitor()
        self._monitor.__enter__()
        self.lines = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        try:
            for command in self._monitor.listen():
                self.lines.append(command["command"])
        except (redis.ConnectionError, ValueError, OSError, AttributeError):
            pass

    def text(self):
        # Bodies of messages are base64 in JSON, with quotes that are escaped once more.
        return "\n".join(self.lines) + "\n" + "\n".join(map(_decoded, list(self.lines)))

    def close(self):
        self._monitor.__exit__(None, None, None)
        self._client.close()


def _decoded(line):
    """The bodies of messages in a command, as text."""
    import base64
    import re

    found = re.findall(r'"body\\*": \\*"([A-Za-z0-9+/=]+)\\*"', line)
    return " ".join(base64.b64decode(body).decode(errors="replace") for body in found)


@pytest.fixture
def wiretap(redis_url):
    tap = Wiretap(redis_url)
    yield tap
    tap.close()


def stored(client):
    """Everything that is in Redis or Valkey now."""
    kinds = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        # Workers go on: a key may have gone since it was listed.
        b"none": lambda key: None,
    }
    return {key: kinds[client.type(key)](key) for key in client.keys("*")}


def settled():
    open_events = Event.objects.filter(finished_at=None)
    return not (open_events.exists() or Delivery.objects.waiting().exists())


def pages(port, workers):
    """Flower's pages and its API."""
    address = f"http://127.0.0.1:{port}"

    def get(path):
        with urllib.request.urlopen(f"{address}{path}", timeout=30) as answer:
            return answer.read().decode()

    def asked():
        """What its workers have answered; those that are gone keep what they said."""
        return json.loads(get("/api/workers?refresh=1"))

    def listening():
        try:
            return get("/healthcheck") == "OK"
        except OSError:
            return False

    workers.until(listening, "flower")
    wait_until(lambda: "doh_tasks" in get("/api/tasks"), lambda: get("/api/tasks"))
    wait_until(lambda: all("stats" in one for one in asked().values()), lambda: str(asked()))
    tasks = json.loads(get("/api/tasks"))
    paths = ["/workers", "/tasks", "/broker", "/metrics", "/api/workers?refresh=1", "/api/tasks"]
    paths += [f"/worker/{name}" for name in json.loads(get("/api/workers"))]
    paths += [f"/task/{uid}" for uid in tasks] + [f"/api/task/info/{uid}" for uid in tasks]
    return {path: get(path) for path in paths}


def cause(bus, parcel):
    hook_event.send(sender=Vehicle, instance=bus, action="crashed", payload={"by": marks.PAYLOAD})
    parcel.save()


def test_nothing_that_celery_carries_gives_anything_away(
    user, receiver, wiretap, broker, workers, settings, monkeypatch
):
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    bus, parcel = Vehicle.objects.create(name="55"), Parcel.objects.create(code="a")
    parcel.state = marks.PAYLOAD
    urls = [marks.target(receiver, path) for path in PATHS]
    for thing in (bus, parcel):
        for url in [*urls, marks.with_password(urls[0])]:
            Hook.objects.bulk_create(
                [
                    Hook(
                        user=user,
                        content_object=thing,
                        action="*",
                        target=url,
                        headers={"Authorization": f"Bearer {marks.HEADER}"},
                    )
                ]
            )
    Hook.objects.first().rotate_secret()
    running = workers(
        HOOK_RETRY_SCHEDULE=[0],
        HOOK_ELEMENT_DELIVERER="tests.test_silence.Quoting.delay",
        HOOK_MAY_RECEIVE="tests.tasks.deliverers.everybody",
    )
    port = free_port()
    running.start("flower", "flower", "--address=127.0.0.1", f"--port={port}")
    running.worker("collection", COLLECTION, *LOUD)
    running.worker("element", QUEUES, *LOUD)
    running.beat()

    # The pump, and eventlet in a task; with failures, dead letters and hooks that break.
    settings.HOOK_COLLECTION_DELIVERER = "tests.test_silence.QuotingCollection.delay"
    cause(bus, parcel)
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_eventlet_task"
    cause(bus, parcel)
    deliver_hook_using_task(urls[0], json.dumps(marks.PAYLOAD))
    deliver_hook_using_task("ftp://nowhere/" + marks.QUERY, json.dumps(marks.PAYLOAD))
    running.until(lambda: Event.objects.count() == 4 and settled(), "element")
    inspect = app.control.inspect(timeout=20, limit=2)
    views = ("active", "reserved", "scheduled", "registered", "stats", "conf", "report")
    inspected = {view: repr(getattr(inspect, view)()) for view in views}
    seen = pages(port, running)

    # A callable of the project's own, once per hook.
    running.processes["element"].terminate()
    running.wait("element")
    again = workers(
        HOOK_RETRY_SCHEDULE=[0], HOOK_ELEMENT_DELIVERER="tests.test_silence.quoting_element"
    )
    again.worker("callable", QUEUES, *LOUD)
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_task"
    cause(bus, parcel)
    again.until(lambda: Event.objects.count() == 6 and settled(), "callable")
    again.until(lambda: "Dead letter" in again.log("callable"), "callable")
    seen |= pages(port, running)

    secret = marks.all_marks(Hook.objects.all())
    sent = {
        post.headers["webhook-signature"] for post in receiver.posts if "webhook-id" in post.headers
    }
    secret |= {f"signature {one}": part for one in sent for part in one.split(",")[-1:]}
    names = ("collection", "element", "beat", "flower", "callable")
    logs = {name: (running if name != "callable" else again).log(name) for name in names}
    assert any(marks.HEADER in str(post.headers) for post in receiver.posts)
    assert "Dead letter" in logs["element"]
    assert "Dead letter" in logs["callable"]
    assert "after_deliver failed" in logs["element"]
    assert any("doh_tasks.element.deliver_batch" in line for line in wiretap.lines)
    for where, said in {
        **logs,
        **seen,
        **inspected,
        "commands": wiretap.text(),
        "stored": repr(stored(broker)),
    }.items():
        assert marks.found(said, secret) == {}, where
