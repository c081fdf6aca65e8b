"""Register hooks, cause events, and look at what the receiver got."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from uuid import uuid4

import django

django.setup()

from django.conf import settings
from django.contrib.auth import get_user_model
from fleet.models import Vehicle
from receiver import Receiver
from standardwebhooks import Webhook

from doh.models import Hook
from doh.signals import hook_event


@contextmanager
def workers():
    """A real worker, for the deliverers that want one."""
    if not settings.HOOK_COLLECTION_DELIVERER.endswith(("task", "delay")):
        yield
        return
    import redis

    redis.Redis.from_url(os.environ["REDIS_URL"]).flushdb()
    queues = "doh.collection,doh.maintenance,doh.element,doh.element_slow"
    command = [
        "-m",
        "celery",
        "--quiet",
        "-A",
        "depot",
        "worker",
        "-Q",
        queues,
        "-c",
        "1",
        "-l",
        "ERROR",
    ]
    with subprocess.Popen([sys.executable, "-W", "ignore", *command]) as worker:
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(60)


def wait_for_trace():
    """Both result hooks ran for both events.

    A 410 deletes its hook: before the hooks are counted, or, in a worker, perhaps beside it.
    """
    from fleet.hooks import TRACE

    counts = ("2", "3") if settings.HOOK_COLLECTION_DELIVERER.endswith("delay") else ("2",)
    wanted = [
        ["collection 1", f"collection {count}", *["element 200"] * 3, "element 410"]
        for count in counts
    ]
    deadline = time.monotonic() + 60
    while not TRACE.exists() or sorted(TRACE.read_text().splitlines()) not in wanted:
        assert time.monotonic() < deadline, TRACE.read_text()
        time.sleep(0.1)
    TRACE.unlink()


def main():
    user = get_user_model().objects.create(username=uuid4().hex)
    vehicle = Vehicle.objects.create(type="bus", name="55")
    with Receiver() as receiver, workers():
        target = receiver.url("/vehicles")
        hook = Hook.objects.create(user=user, content_object=vehicle, target=target)
        Hook.objects.create(user=user, model=Vehicle, action="*", target=receiver.url("/all"))
        gone = Hook.objects.create(
            user=user, content_object=vehicle, target=receiver.url("/status/410")
        )
        vehicle.save()
        receiver.wait_for_posts(3, timeout=60)
        hook_event.send(sender=Vehicle, instance=vehicle, action="crashed", payload={})
        posts = receiver.wait_for_posts(4, timeout=60)
        if "fleet.hooks" in settings.HOOK_COLLECTION_DELIVERER:
            wait_for_trace()
    changed = next(post for post in posts if post.path == "/vehicles")
    assert Webhook(hook.secret).verify(changed.body, changed.headers)["name"] == "55"
    assert changed.headers["doh-event"] == "fleet.vehicle.changed"
    crashed = next(post for post in posts if post.headers["doh-event"].endswith(".crashed"))
    assert (crashed.path, crashed.body) == ("/all", b"{}")
    ended = Hook.objects.filter(pk=gone.pk, disabled_at=None)
    assert not ended.exists(), "410 neither disabled nor deleted the hook"


main()
