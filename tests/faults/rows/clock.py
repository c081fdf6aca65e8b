"""Workers whose clock is wrong."""

import shutil
from collections import defaultdict

from tests.faults.checker import lines
from tests.faults.crew import CHILDREN
from tests.faults.files import RECEIVED
from tests.faults.stage import PATIENT
from tests.faults.world import World
from tests.workers import COLLECTION, ELEMENT

MINUTES = 10
#: Seconds before the second and the third attempt, each shortened by its spread at most.
SCHEDULE = (0, 2, 3)
SPREAD = 0.2


def shifted(world: World) -> None:
    """Row 10: one worker's clock is ahead, the other's behind; then the other way round."""
    if shutil.which("faketime") is None:
        raise SystemExit("faketime is missing: apt-get install faketime")
    world.hook("right")
    world.hook("wrong", "first/2")
    world.crew.overrides |= PATIENT | {"HOOK_RETRY_SCHEDULE": [*SCHEDULE, *[3] * 10]}
    for ahead in (True, False):
        _deploy(world, ahead)
        world.produced(world.produce(world.size(300, 40), 60))
        world.settle()
        world.crew.end()
        world.result.kills += 1
    _check_gaps(world)
    world.judge()


def _deploy(world: World, ahead: bool) -> None:
    """The element worker is off one way, the collection worker the other, beat is right."""
    crew = world.crew
    before = {name: crew.log(name).count(" ready.") for name in ("element0", "collection")}
    for name, queues, children, forward in (
        ("element0", ELEMENT, CHILDREN, ahead),
        ("collection", COLLECTION, 1, not ahead),
    ):
        # Durations are right, only the time of day is wrong.
        crew.extra["DONT_FAKE_MONOTONIC"] = "1"
        crew.prefix = ["faketime", "-f", f"{'+' if forward else '-'}{MINUTES}m"]
        crew.start_worker(name, queues, children)
    crew.prefix = []
    crew.start("beat", "beat", "-s", str(world.folder / "schedule"))
    for name, times in before.items():
        crew.ready(name, times + 1)


def _check_gaps(world: World) -> None:
    """No attempt came before its time, by the witness's clock."""
    moments = defaultdict(list)
    for post in lines(world.folder / RECEIVED):
        if post["hook"] == "wrong":
            moments[post["id"]].append(post["at"])
    gaps = [
        (later - earlier) / delay
        for times in moments.values()
        for earlier, later, delay in zip(times, times[1:], SCHEDULE[1:], strict=False)
    ]
    world.result.notes["retries"] = len(gaps)
    world.result.notes["earliest"] = f"{min(gaps):.2f} of its delay"
    if min(gaps) < 1 - SPREAD - 0.02:
        world.result.violations.append(f"a retry came after {min(gaps):.2f} of its delay")
