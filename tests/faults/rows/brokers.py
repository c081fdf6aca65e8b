"""Brokers that forget, go away, or say everything three times."""

from datetime import timedelta

import redis
from django.db.models import Min
from kombu import Connection

from doh.journal import get_journal
from doh.models import Batch, Event
from doh_tasks.queues import task_queues
from tests.faults import repeats
from tests.faults.crew import CHILDREN
from tests.faults.stage import PATIENT, RABBITMQ
from tests.faults.world import IN_ONE_WORKER, World
from tests.workers import COLLECTION, ELEMENT


def forgets(world: World) -> None:
    """Row 3: everything is flushed, or the broker is killed and comes back empty."""
    rounds, events = world.size(10, 2), world.size(5000, 120)
    world.usual_hooks()
    world.crew.deploy(elements=2)
    overdue = _Overdue()
    world.note = overdue.look
    web = world.produce(events, events / (rounds * 3.0))
    for number in range(rounds):
        reached = events * 4 * number // (rounds + 1)
        world.wait(lambda: world.delivered() > reached, 120)  # noqa: B023
        (_flush if number % 2 else _restart_empty)(world)
        world.result.kills += 1
        world.look()
    world.produced(web)
    world.settle()
    world.result.notes["overdue"] = f"{overdue.longest.total_seconds():.1f} s at most"
    # Whoever waits for a broker flushes late, and may find its lease over.
    world.judge(bound=rounds * 2 * IN_ONE_WORKER)


class _Overdue:
    """How long anything has been due, at most, before somebody took it up.

    An event is due at once, a batch when no worker has come for it within its queue lease.
    """

    def __init__(self) -> None:
        self.longest = timedelta()

    def look(self) -> None:
        """Look at what is due now."""
        now = get_journal().now()
        for rows in (Event.objects.filter(fanned_at=None, finished_at=None), Batch.objects.all()):
            oldest = rows.filter(due_at__lte=now).aggregate(at=Min("due_at"))["at"]
            if oldest is not None:
                self.longest = max(self.longest, now - oldest)


def stopped(world: World) -> None:
    """Row 4: the broker is stopped, and started with what it had kept."""
    rounds, events = world.size(3, 1), world.size(1500, 80)
    world.usual_hooks()
    world.crew.deploy(elements=2)
    web = world.produce(events, events / (rounds * 20.0))
    for number in range(rounds):
        reached = events * 4 * number // (rounds + 1)
        world.wait(lambda: world.delivered() > reached, 120)  # noqa: B023
        world.stage.broker.stop()
        world.pause(0.5, 2)
        world.stage.broker.start()
        world.result.kills += 1
        world.look()
    world.produced(web)
    world.settle()
    world.judge(bound=rounds * 2 * IN_ONE_WORKER)


def repeated(world: World) -> None:
    """Row 12: two beats, two sweeping workers, and every message comes three times."""
    events = world.size(1000, 100)
    world.hook("once")
    world.crew.overrides |= PATIENT
    world.crew.extra[repeats.VARIABLE] = "1"
    world.crew.deploy(elements=1)
    world.crew.start_worker("collection2", COLLECTION, 1)
    world.crew.start_worker("element1", ELEMENT, CHILDREN)
    world.crew.start("beat2", "beat", "-s", str(world.folder / "schedule2"))
    world.crew.ready("collection2")
    world.produced(world.produce(events, 100))
    world.settle()
    world.judge()
    world.result.notes |= {"messages": f"x {repeats.TIMES}", "sends": world.posts()}
    if world.posts() != world.result.events:
        world.result.violations.append(f"{world.posts()} sends of {world.result.events} events")


def _flush(world: World) -> None:
    """Forget every message, with the broker running."""
    if world.stage.broker_name == RABBITMQ:
        with Connection(world.stage.broker.url) as connection:
            for queue in task_queues(world.stage.broker.url):
                bound = queue(connection.default_channel)
                # A broker that came back empty has no queue that nobody consumes.
                bound.declare()
                bound.purge()
    with redis.Redis.from_url(world.stage.valkey.url) as client:
        client.flushall()


def _restart_empty(world: World) -> None:
    world.stage.broker.kill()
    world.stage.broker.forget()
    world.pause(0.2, 1)
    world.stage.broker.start()
