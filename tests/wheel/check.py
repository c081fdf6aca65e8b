"""Install the built wheel into an empty environment and use it there as a project would.

Run by ``make wheel-check``. The project is a copy in a temporary folder, so nothing is imported
from this checkout.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
DELIVERERS = (
    ("doh.deliverers.deliver_hooks", "doh.deliverers.deliver_hook"),
    ("doh.deliveres.deliver_hooks", "doh.deliveres.deliver_hook"),
    ("doh.deliveres.deliver_hooks_using_eventlet", "doh.deliverers.deliver_hook"),
    ("doh.deliveres.deliver_hooks_using_task", "doh.deliveres.deliver_hook_using_task"),
    ("doh.deliveres.deliver_hooks_using_eventlet_task", "doh.deliverers.deliver_hook"),
    ("fleet.hooks.custom_deliver_hooks", "fleet.hooks.custom_deliver_hook"),
    ("fleet.hooks.Collection.deliver", "fleet.hooks.Element.deliver"),
    ("fleet.hooks.Collection.delay", "fleet.hooks.Element.delay"),
)


def main() -> int:
    """Build, install, and drive the project with every deliverer on every database."""
    scratch = ROOT / ".demo"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="wheel-") as name:
        folder = Path(name)
        python = _install(folder)
        shutil.copytree(HERE / "project", folder / "project")
        shutil.copy(ROOT / "tests" / "receiver.py", folder / "project" / "receiver.py")
        shutil.copy(ROOT / "celeryconfig.example.py", folder / "project" / "celeryconfig.py")
        for database in ("", os.environ["DATABASE_URL"]):
            for collection, element in DELIVERERS:
                _drive(python, folder, database, collection, element)
    print(f"\n{2 * len(DELIVERERS)} passed, 0 failed")
    return 0


def _install(folder: Path) -> Path:
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    wanted = [f"{wheel}[eventlet]", "psycopg[binary]", "dj-database-url", "standardwebhooks"]
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", constraints]
    subprocess.run([*pip, "--disable-pip-version-check", *wanted], check=True)
    return python


def _drive(python: Path, folder: Path, database: str, collection: str, element: str) -> None:
    print(f"{'postgresql' if database else 'sqlite':<11} {collection} + {element}", flush=True)
    project = folder / "project"
    (project / "db.sqlite3").unlink(missing_ok=True)
    environment = os.environ | {
        "DATABASE_URL": database or f"sqlite:///{project / 'db.sqlite3'}",
        "COLLECTION": collection,
        "ELEMENT": element,
        "PYTHONPATH": "",
        "DJANGO_SETTINGS_MODULE": "depot.settings",
    }
    quiet = ["--verbosity", "0", "--no-input"]
    manage = ["-m", "django"]
    for command in ([*manage, "migrate", *quiet], [*manage, "flush", *quiet], ["drive.py"]):
        subprocess.run([python, *command], check=True, cwd=project, env=environment, timeout=120)


if __name__ == "__main__":
    sys.exit(main())
