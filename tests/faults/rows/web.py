"""Web processes: killed around their commits, or deleting what is being delivered."""

from collections import Counter

from django.contrib.auth import get_user_model

from doh.models import Delivery
from tests.app.models import Depot
from tests.faults.checker import lines
from tests.faults.files import RECEIVED
from tests.faults.producer import KILL, WITHIN
from tests.faults.stage import PATIENT
from tests.faults.world import World

#: Web processes that run at once.
AT_ONCE = 3
#: A 2xx came back for a hook that is gone: what the receiver said stands, or the pair is cancelled.
WRITTEN = ("succeeded", "cancelled")


def killed(world: World) -> None:
    """Row 2: web processes are killed before, in and after a COMMIT."""
    kills = world.size(50, 6)
    world.hook("quick")
    world.hook("flaky", "flaky/7")
    world.crew.deploy()
    for start in range(0, kills, AT_ONCE):
        together = [
            world.produce(2 * WITHIN, 500, **{KILL: "1"})
            for _ in range(min(AT_ONCE, kills - start))
        ]
        world.result.kills += sum(process.wait(60) != 0 for process in together)
    world.produced(world.produce(10, 100))
    world.settle()
    if world.result.kills < kills:
        world.result.violations.append(f"{world.result.kills} of {kills} web processes died")
    world.judge()


def deleted(world: World) -> None:
    """Row 15: hook, user or object is deleted while the POST is under way."""
    rounds = world.size(20, 3)
    # Time for the deletion: the receiver waits for it with its answer.
    world.crew.overrides |= PATIENT
    world.crew.deploy()
    ends: dict[int, tuple[str, ...]] = {}
    for number in range(rounds):
        ends |= _delete_one(world, number, ("hook", "user", "everything")[number % 3])
    _check_ends(world, ends)


def _delete_one(world: World, number: int, what: str) -> dict[int, tuple[str, ...]]:
    """Returns how the delivery of each hook may end."""
    depot = Depot.objects.create(name=f"d{number}")
    bob = get_user_model().objects.create(username=f"bob{number}")
    theirs = {"content_object": depot, "user": bob}
    accepted = world.hook(f"accepted{number}", f"gate/gate{number}", **theirs)
    refused = world.hook(f"refused{number}", f"then500/gate{number}", **theirs)
    neighbour = world.hook(f"neighbour{number}", content_object=depot)
    ends = {accepted.pk: WRITTEN, refused.pk: ("cancelled",), neighbour.pk: ("succeeded",)}
    before = world.posts()
    depot.save()
    world.wait(lambda: world.posts() == before + len(ends))
    if what == "hook":
        accepted.delete()
        refused.delete()
    else:
        bob.delete()
    if what == "everything":
        depot.delete()
    world.result.kills += 1
    (world.folder / f"gate{number}").touch()
    world.settle()
    world.look()
    return ends


def _check_ends(world: World, ends: dict[int, tuple[str, ...]]) -> None:
    """Each was sent once, and ended as it must."""
    result = world.result
    posts = [line["hook"] for line in lines(world.folder / RECEIVED)]
    result.duplicates = len(posts) - len(set(posts))
    result.events = len(ends) // 3
    result.deliveries = Delivery.objects.count()
    ended = dict(Delivery.objects.values_list("hook_id", "status"))
    result.notes["ended"] = dict(Counter(ended.values()))
    result.lost = len(ends.keys() - ended.keys())
    for pk, allowed in ends.items():
        if ended.get(pk) not in allowed:
            result.violations.append(f"hook {pk} ended {ended.get(pk)}, not {allowed}")
    if result.duplicates:
        result.violations.append(f"{result.duplicates} sent again")
