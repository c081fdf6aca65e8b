"""A database that stops in the middle of everything, and one whose disks are full."""

from time import sleep

from django.db import connection

from tests.faults.checker import lines
from tests.faults.disks import TABLES, WAL, Ballast
from tests.faults.files import REFUSED
from tests.faults.world import IN_ONE_WORKER, World

#: Seconds that the last of the stops lasts.
LONG = 20.0
#: Bytes that are left on a disk before a web process fills it.
LEFT = 2_000_000


def stopped(world: World) -> None:
    """Row 5: PostgreSQL is stopped at once, five times; the last time it stays away."""
    stops, events = world.size(5, 1), world.size(2000, 120)
    world.usual_hooks()
    world.crew.deploy(elements=2)
    web = world.produce(events, events / (stops * 8.0))
    for number in range(stops):
        world.pause(1, 4)
        world.stage.postgres.stop_immediately()
        connection.close()
        sleep(LONG if number == stops - 1 and stops > 1 else world.random.uniform(0.1, 2))
        world.stage.postgres.start()
        world.result.kills += 1
        world.look()
    world.produced(web)
    world.settle()
    world.result.notes["saves refused"] = len(lines(world.folder / REFUSED))
    world.judge(bound=stops * 2 * IN_ONE_WORKER)


def full(world: World) -> None:
    """Row 6: the tables' disk is full, then that of the write-ahead log, which stops the server."""
    world.usual_hooks()
    _move_tables(world.folder / TABLES)
    world.crew.deploy()
    _fill_tables(world)
    _fill_wal(world)
    world.result.kills = 2
    world.judge(bound=2 * IN_ONE_WORKER)


def _move_tables(disk: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        for kind in ("TABLE", "INDEX"):
            cursor.execute(f"ALTER {kind} ALL IN TABLESPACE pg_default SET TABLESPACE small")


def _fill_tables(world: World) -> None:
    ballast = Ballast(world.folder / TABLES, LEFT)
    web = world.produce(world.size(20_000, 8_000), 2_000)
    world.wait(lambda: lines(world.folder / REFUSED), 120)
    errors = {line["error"] for line in lines(world.folder / REFUSED)}
    world.crew.kill(next(name for name, one in world.crew.processes.items() if one is web))
    ballast.drop()
    world.settle()
    world.result.notes["tables full"] = "/".join(sorted(errors))


def _fill_wal(world: World) -> None:
    before = len(lines(world.folder / REFUSED))
    ballast = Ballast(world.folder / WAL, LEFT)
    web = world.produce(world.size(40_000, 20_000), 2_000)
    server = world.stage.postgres.process
    world.wait(lambda: server.poll() is not None, 120)
    world.wait(lambda: len(lines(world.folder / REFUSED)) > before)
    world.crew.kill(next(name for name, one in world.crew.processes.items() if one is web))
    ballast.drop()
    connection.close()
    world.stage.postgres.start()
    world.settle()
    world.result.notes["log full"] = "the server stopped"
