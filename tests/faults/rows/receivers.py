"""Receivers that misbehave, and what their neighbours notice of it."""

import inspect
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from time import monotonic, sleep

from django.contrib.auth import get_user_model
from django.db.models import Max

from doh.models import Attempt, Event, Hook
from tests import hostile as misbehaviour
from tests.app.models import Depot
from tests.faults.checker import lines
from tests.faults.files import RECEIVED
from tests.faults.stage import DEADLINE
from tests.faults.world import World

#: What a POST may take beyond the deadline (seconds), and a worker beyond its memory (bytes).
OVER, MORE_MEMORY = 0.5, 20_000_000
#: Row 11: healthy targets, and the share of events that goes to black holes.
HEALTHY, BLACK_HOLES, SHARE = 100, 10, 0.2
#: Saves per second in row 11.
PER_SECOND = 50


def hostile(world: World) -> None:
    """Row 9: each kind of hostile receiver gets events, and a healthy one beside it."""
    rounds = world.size(20, 4)
    world.hook("healthy")
    world.crew.overrides["HOOK_RETRY_SCHEDULE"] = [0]
    world.crew.deploy()
    world.produced(world.produce(200, 200))
    world.settle()
    before = _memory(world)
    with ExitStack() as stack:
        for name, act in _behaviours():
            _hook(stack.enter_context(misbehaviour.hostile(act)) + name)
        # A server that never says a word of TLS.
        url = stack.enter_context(misbehaviour.hostile(misbehaviour.silent))
        _hook(url.replace("http:", "https:"))
        for _ in range(rounds):
            world.produced(world.produce(1, 100))
        world.settle()
    grown = max(after - before[pid] for pid, after in _memory(world).items() if pid in before)
    _judge_hostile(world, grown)


def _judge_hostile(world: World, grown: int) -> None:
    result = world.result
    longest = Attempt.objects.aggregate(longest=Max("elapsed"))["longest"]
    result.kills = Hook.objects.count() - 1
    result.events = Event.objects.count()
    result.deliveries = world.delivered()
    result.lost = result.events - world.posts()
    result.notes["longest"] = f"{longest:.2f} s"
    result.notes["memory"] = f"+{grown / 1e6:.0f} MB"
    if result.lost:
        result.violations.append(f"the healthy receiver missed {result.lost}")
    if longest > DEADLINE + OVER:
        result.violations.append(f"a POST took {longest:.2f} s")
    if grown > MORE_MEMORY:
        result.violations.append(f"a worker grew by {grown / 1e6:.0f} MB")


def _behaviours() -> list[tuple[str, misbehaviour.Act]]:
    """Every way to misbehave that the conformance suite knows."""
    return [
        (name, act)
        for name, act in vars(misbehaviour).items()
        if inspect.isfunction(act) and list(inspect.signature(act).parameters) == ["sock", "stop"]
    ]


def _hook(target: str) -> None:
    """A hook of somebody else, on every depot that is created."""
    user, _ = get_user_model().objects.get_or_create(username="eve")
    Hook.objects.create(user=user, model=Depot, action="created", target=target)


def _memory(world: World) -> dict[int, int]:
    """Resident bytes of each process of the element worker."""
    session = world.crew.processes["element0"].pid
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found[int(path.parent.name)] = int(fields[21]) * 4096
    return found


def noisy(world: World) -> None:
    """Row 11: black holes among the targets, and a dead host with many targets."""
    seconds, targets = world.size(60, 5), world.size(1000, 100)
    world.crew.overrides["HOOK_RETRY_SCHEDULE"] = [0, 1]
    world.crew.deploy()
    healthy = [_depot(world, f"healthy{number}") for number in range(HEALTHY)]
    alone = _healthy_p99(world, healthy, [], seconds)
    with black_hole() as dead:
        holes = [_depot(world, f"hole{number}", dead) for number in range(BLACK_HOLES)]
        beside = _healthy_p99(world, healthy, holes, seconds)
        many = [_depot(world, f"many{number}", dead) for number in range(targets)]
        crowd = _healthy_p99(world, healthy, many, seconds)
    world.result.kills = 2
    world.result.events, world.result.deliveries = Event.objects.count(), world.delivered()
    world.result.notes["healthy p99"] = f"{alone * 1000:.0f} ms"
    world.result.notes["beside black holes"] = f"x {beside / alone:.1f}"
    world.result.notes["beside a dead host"] = f"x {crowd / alone:.1f}"


def _depot(world: World, name: str, elsewhere: str | None = None) -> Depot:
    """A depot with one hook: at the witness, or elsewhere."""
    depot = Depot.objects.create(name=name)
    hook = world.hook(name, content_object=depot)
    if elsewhere is not None:
        Hook.objects.filter(pk=hook.pk).update(target=f"{elsewhere}{name}")
    return depot


def _healthy_p99(
    world: World, healthy: Sequence[Depot], noise: Sequence[Depot], seconds: float
) -> float:
    """Save for so long, one in five a noisy one; 99 % of the healthy arrive within this time."""
    first = Event.objects.count()
    until = monotonic() + seconds
    while monotonic() < until:
        loud = noise and world.random.random() < SHARE
        world.random.choice(noise if loud else healthy).save()
        sleep(1 / PER_SECOND)
    world.settle()
    made = {event.uid: event for event in Event.objects.order_by("pk")[first:]}
    arrived = {post["id"]: post["at"] for post in lines(world.folder / RECEIVED)}
    keys = {str(depot.pk) for depot in healthy}
    ours = [event for event in made.values() if event.object_id in keys]
    missing = [event.uid for event in ours if event.uid not in arrived]
    world.result.lost += len(missing)
    world.result.violations += [f"lost {uid}" for uid in missing[:5]]
    times = [
        arrived[event.uid] - event.occurred_at.timestamp() for event in ours if event.uid in arrived
    ]
    return quantiles(times, n=100)[98]


@contextmanager
def black_hole() -> Iterator[str]:
    """A host that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
