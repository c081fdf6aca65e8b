"""Old and new workers side by side, with a migration in between, and the way back."""

import os
import shutil
import signal
from pathlib import Path

from doh.version import VERSION
from tests.faults.checker import lines
from tests.faults.crew import CHILDREN
from tests.faults.files import RECEIVED
from tests.faults.report import ROOT
from tests.faults.stage import PATIENT
from tests.faults.world import World
from tests.workers import COLLECTION, ELEMENT

#: The next release, as far as this row is concerned.
NEXT = "99.0"
_MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("doh", "{newest}")]
    operations = [
        migrations.AddField(
            model_name="delivery", name="region", field=models.CharField(max_length=20, null=True)
        ),
    ]
"""
_FIELD = "    host = models.CharField(max_length=255, blank=True)\n"
_SIGNATURE = "def deliver_batch(batch_id: int, epoch: int) -> None:"


def rolling(world: World) -> None:
    """Row 14: the tables are migrated under old workers, then new workers join and replace
    them, and are replaced by old ones again."""
    third, pace = world.size(500, 50), world.size(50, 20)
    world.usual_hooks()
    world.crew.overrides |= PATIENT
    world.crew.deploy(elements=1)
    new = _next_release(world.folder / "next")
    webs = [world.produce(third, pace)]
    world.wait(lambda: world.delivered() > third)
    world.crew.root = new
    migrating = world.crew.python("migrate", "-m", "django", "migrate", "--verbosity", "0")
    world.produced(migrating)
    _join(world, "new")
    # Side by side, then the old ones are asked to stop in the middle: the new ones alone.
    webs.append(world.produce(third, pace))
    _relieve(world, ("element0", "collection"), third)
    webs.append(world.produce(third, pace))
    # The way back: the old release again, on the tables of the new one.
    world.crew.root = ROOT
    _join(world, "again")
    webs.append(world.produce(third, pace))
    _relieve(world, ("element-new", "collection-new"), third)
    for web in webs:
        world.produced(web)
    world.settle()
    _check_senders(world)
    world.judge()


def _join(world: World, which: str) -> None:
    """Start workers of the present release beside those that run."""
    world.crew.start_worker(f"element-{which}", ELEMENT, CHILDREN)
    world.crew.start_worker(f"collection-{which}", COLLECTION, 1)
    world.crew.ready(f"element-{which}")
    world.crew.ready(f"collection-{which}")


def _relieve(world: World, names: tuple[str, ...], deliveries: int) -> None:
    """Ask workers to stop once so many more deliveries were made."""
    reached = world.delivered() + deliveries
    world.wait(lambda: world.delivered() > reached)
    for name in names:
        world.crew.processes[name].send_signal(signal.SIGTERM)
        world.result.kills += 1
        world.crew.wait(name)


def _check_senders(world: World) -> None:
    """Both releases have sent something."""
    agents = {line["agent"] for line in lines(world.folder / RECEIVED)}
    world.result.notes["sent by"] = " and ".join(sorted(agents))
    if len(agents) != 2:
        world.result.violations.append(f"only {agents} sent anything")


def _next_release(folder: Path) -> Path:
    """A copy of the packages with another version, one more column and one more argument."""
    folder.mkdir()
    for name in ("doh", "doh_tasks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "deploy", "celeryconfig.example.py"):
        os.symlink(ROOT / name, folder / name)
    newest = max(path.stem for path in (ROOT / "doh" / "migrations").glob("0*.py"))
    migration = folder / "doh" / "migrations" / "9999_next.py"
    migration.write_text(_MIGRATION.format(newest=newest))
    _edit(folder / "doh" / "version.py", VERSION, NEXT)
    _edit(
        folder / "doh" / "models.py",
        _FIELD,
        f"    region = models.CharField(max_length=20, null=True)\n{_FIELD}",
    )
    _edit(
        folder / "doh_tasks" / "element.py",
        _SIGNATURE,
        _SIGNATURE.replace("epoch: int", 'epoch: int, region: str = ""'),
    )
    return folder


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if text.count(old) != 1:
        raise AssertionError(f"{path.name} has no single {old!r} to upgrade")
    path.write_text(text.replace(old, new))
