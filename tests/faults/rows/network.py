"""A network that is cut for a while."""

from time import sleep

from tests.faults.namespaces import HOSTS, plug
from tests.faults.world import IN_ONE_WORKER, World


def cut(world: World) -> None:
    """Row 7: the database's, the broker's and the receiver's cable is pulled, each twice."""
    times, events = world.size(2, 1), world.size(1200, 150)
    world.usual_hooks()
    world.crew.deploy(elements=2)
    cuts = times * len(HOSTS)
    web = world.produce(events, events / (cuts * world.size(15, 5)))
    for host in HOSTS * times:
        world.pause(0.5, 2)
        plug(host, out=True)
        sleep(world.size(10, 3))
        plug(host, out=False)
        world.result.kills += 1
    world.produced(web)
    world.settle()
    world.look()
    world.judge(bound=cuts * 2 * IN_ONE_WORKER)
