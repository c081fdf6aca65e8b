"""The peer, django-webhook, at the same work: its worker and its saves in a project of its own."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from tests.bench.figures import Series
from tests.bench.receiver import Receiver, address

DATABASE = "peer"
TOPIC = "vehicles.Vehicle/update"


def rate(work: str, receiver: Receiver, number: int) -> float:
    """POSTs per second of the peer, warm: one save to many hooks, or many saves to one."""
    return _ask(work, receiver, number, 2)[-1]["rate"]


def saves(receiver: Receiver, number: int, repeat: int) -> Series:
    """Milliseconds of one ``save()`` with so many hooks."""
    return Series.of([one["save"] * 1000 for one in _ask("fanout", receiver, number, repeat)])


def latencies(receiver: Receiver, number: int) -> Series:
    """Milliseconds from one save to its arrival, on an idle system."""
    return Series.of([one["latency"] * 1000 for one in _ask("latency", receiver, 1, number)])


def _ask(work: str, receiver: Receiver, number: int, repeat: int) -> list[dict[str, float]]:
    from tests.bench import stage
    from tests.bench.watching import python

    said = python(
        "tests.bench.peer", work, str(number), str(repeat),
        str(receiver.folder), str(receiver.port), str(len(receiver.hosts)),
        BENCH_PEER_DATABASE=stage.create_database(DATABASE),
        CELERY_BROKER_URL=f"{os.environ['REDIS_URL'].rpartition('/')[0]}/1",
        DJANGO_SETTINGS_MODULE="tests.bench.peer_settings",
    )  # fmt: skip
    found: list[dict[str, float]] = json.loads(said)
    return found


def main() -> None:
    """Run in a process of its own: settings can't be loaded twice."""
    work, number, repeat, folder, port, hosts = sys.argv[1:]
    receiver = Receiver(Path(folder), [address(n) for n in range(int(hosts))], int(port))
    print(json.dumps(_measure(work, receiver, int(number), int(repeat))))


def _measure(work: str, receiver: Receiver, number: int, repeat: int) -> list[dict[str, float]]:
    import tests.bench.peer_app  # noqa: F401, I001 - the app must be current before the signals
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, stdout=StringIO())
    _hook_up([receiver.url(n) for n in range(number if work == "fanout" else 1)])
    with tempfile.TemporaryDirectory() as folder, _worker(Path(folder)):
        if work == "fanout":
            return [_fan_out(receiver, number) for _ in range(repeat)]
        if work == "latency":
            return [_arrive(receiver) for _ in range(repeat)]
        return [_events(receiver, number) for _ in range(repeat)]


@contextmanager
def _worker(folder: Path) -> Iterator[None]:
    from processes import running

    from tests.bench.watching import until

    command = ["celery", "-A", "tests.bench.peer_app", "worker", "-l", "INFO", "-c", "2"]
    with running("peer", command, folder):
        until(lambda: " ready." in (folder / "peer.log").read_text())
        yield


def _hook_up(targets: list[str]) -> None:
    from django_webhook.models import Webhook, WebhookSecret, WebhookTopic

    topic = WebhookTopic.objects.get_or_create(name=TOPIC)[0]
    hooks = Webhook.objects.bulk_create(Webhook(url=target) for target in targets)
    topic.webhooks.set(hooks)
    WebhookSecret.objects.bulk_create(
        WebhookSecret(webhook=hook, token=f"a secret of hook {hook.pk}") for hook in hooks
    )


def _bus() -> Any:
    from vehicles.models import Vehicle

    return Vehicle.objects.create(type="bus", name="55")


def _fan_out(receiver: Receiver, number: int) -> dict[str, float]:
    bus = _bus()
    receiver.forget()
    start = time.time()
    bus.save()
    saved = time.time() - start
    receiver.wait_for(number)
    last = max(one.answered for one in receiver.seen())
    return {"rate": number / (last - start), "save": saved}


def _events(receiver: Receiver, number: int) -> dict[str, float]:
    """From the first arrival to the last: its saves, which publish, are left out."""
    bus = _bus()
    receiver.forget()
    for _ in range(number):
        bus.save()
    receiver.wait_for(number)
    seen = receiver.seen()
    first, last = min(one.came for one in seen), max(one.answered for one in seen)
    return {"rate": number / (last - first)}


def _arrive(receiver: Receiver) -> dict[str, float]:
    bus = _bus()
    time.sleep(0.2)
    receiver.forget()
    start = time.time()
    bus.save()
    receiver.wait_for(1)
    return {"latency": receiver.seen()[0].came - start}


if __name__ == "__main__":
    main()
