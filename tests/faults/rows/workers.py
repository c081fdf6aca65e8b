"""Workers that are killed, anywhere, and workers that stand still past their lease."""

import signal
from collections import Counter
from time import sleep

from tests.faults import failpoints
from tests.faults.crew import CHILDREN
from tests.faults.stage import IN_FLIGHT, LEASE
from tests.faults.world import IN_ONE_WORKER, PATIENCE, World
from tests.workers import COLLECTION, ELEMENT, wait_until

FENCED = "was claimed by somebody else meanwhile"
#: How often a worker is stopped at most, until one of them comes late.
MOST_STOPS = 10


def killed(world: World) -> None:
    """Row 1: SIGKILL at named points and at random moments, of a child or of the whole worker."""
    kills, events = world.size(100, 8), world.size(5000, 240)
    world.usual_hooks()
    world.crew.deploy(elements=2)
    web = world.produce(events, events / (kills * 2.0))
    for number in range(kills):
        _kill_once(world, number)
        if number % max(1, kills // 5) == 0:
            world.look()
    world.crew.points.disarm()
    world.produced(web)
    world.settle()
    world.judge(bound=world.result.kills * IN_ONE_WORKER)


def _kill_once(world: World, number: int) -> None:
    """One kill: most at a named point, every fourth at a random moment of everything."""
    element = f"element{number % 2}"
    if number % 4 == 3:
        world.pause(0.0, 1.0)
        name = "collection" if number % 16 == 3 else element
        world.crew.kill(name)
        _count(world, "at random")
        _bring_back(world, name)
        return
    points = failpoints.SENDING + failpoints.COLLECTING
    point = points[number % len(points)]
    whole = world.random.random() < 0.25
    world.crew.points.arm(point, whole_group=whole)
    try:
        wait_until(lambda: not world.crew.points.is_armed(point), world.open, 20)
    except AssertionError:
        # Nothing came by here: whatever is left to do does not need this point.
        world.crew.points.disarm()
        world.result.notes["not reached"] = f"{world.result.notes.get('not reached', '')} {point}"
        return
    _count(world, point)
    if whole:
        # Its leader is gone, too.
        wait_until(world.crew.supervise, world.open)


def _count(world: World, where: str) -> None:
    world.result.kills += 1
    places = world.result.notes.setdefault("killed", {})
    places[where] = places.get(where, 0) + 1


def _bring_back(world: World, name: str) -> None:
    queues, children = (COLLECTION, 1) if name == "collection" else (ELEMENT, CHILDREN)
    world.crew.start_worker(name, queues, children)


def stopped(world: World) -> None:
    """Row 8: SIGSTOP past the lease, then SIGCONT: the late write changes nothing."""
    rounds = world.size(10, 2)
    for number in range(IN_FLIGHT):
        world.hook(f"slow{number}", "slow/0.4")
    world.crew.deploy(elements=2)
    # The one that is stopped may have nothing in hand: then once more.
    while world.result.kills < rounds or not (_fenced(world) or world.result.kills >= MOST_STOPS):
        name = f"element{world.result.kills % 2}"
        web = world.produce(4, 100)
        before = world.posts()
        world.wait(lambda: world.posts() > before)  # noqa: B023
        world.crew.signal(name, signal.SIGSTOP)
        world.result.kills += 1
        sleep(LEASE + 1)
        world.look()
        world.crew.signal(name, signal.SIGCONT)
        world.produced(web)
        world.settle()
    world.result.notes["late writes fenced out"] = _fenced(world)
    if not _fenced(world):
        world.result.violations.append("no late write came, so none was fenced out")
    world.judge(bound=world.result.kills * IN_ONE_WORKER)


def _fenced(world: World) -> int:
    """How many late writes were refused so far."""
    return sum(world.crew.log(f"element{number}").count(FENCED) for number in (0, 1))


def chord_body(world: World) -> None:
    """Row 13: the worker dies in each window of a chord and of its body."""
    each = world.size(10, 1)
    for number in range(4):
        world.hook(f"quick{number}")
    world.crew.overrides["HOOK_BATCH_SIZE"] = 2
    world.crew.deploy()
    died: Counter[str] = Counter()
    for point in failpoints.CHORD:
        for _ in range(each):
            world.crew.points.arm(point)
            web = world.produce(3, 100)
            try:
                # The worker's first process notes a dead child's chord, so it may come by, too.
                world.wait(lambda: not world.crew.points.is_armed(point), PATIENCE)  # noqa: B023
                died[point] += 1
            except AssertionError:
                world.crew.points.disarm()
                world.result.violations.append(f"nobody came by {point}")
            world.produced(web)
    world.settle()
    world.result.kills = sum(died.values())
    world.result.notes["killed"] = dict(died)
    world.judge(bound=world.result.kills * IN_ONE_WORKER)
    world.result.notes["after_deliver again"] = world.result.after_deliver_again
    if world.result.after_deliver_again > world.result.kills:
        world.result.violations.append("after_deliver ran again more often than there were kills")
