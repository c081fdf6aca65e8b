"""``make demo``: the main job on real servers and real Celery workers, in about a minute.

Everything it makes lies in one folder below ``.demo`` of the checkout, which goes with it.
``--serve`` leaves it running with the admin and Flower.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import processes
import story
from receivers import Receivers
from services import free_port, services
from view import View

ROOT = Path(__file__).parents[2]
#: Seconds that the story may take, of which it usually needs ten.
LIMIT = 120.0
#: Seconds that the workers may take to start.
START_LIMIT = 180.0
LOGIN = ("admin", "demo")


def main() -> int:
    """Set up, tell the story, judge it; 0 if all of it happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="leave it running")
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT,
        metavar="SECONDS",
        help=f"give up after ({LIMIT:g})",
    )
    options = parser.parse_args()
    came = _notice(signal.SIGINT, signal.SIGTERM)
    try:
        with ExitStack() as stack:
            return _run(stack, options.serve, options.limit)
    except BaseException:
        # What a signal cuts short fails in its own words, a commit in Django's.
        if not came:
            raise
        return 0 if options.serve and came[0] == signal.SIGINT else 128 + came[0]


def _notice(*signals: signal.Signals) -> list[int]:
    """Have signals end the program as an exception does; those that came are in the list."""
    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        came.append(number)
        sys.exit(128 + number)

    for each in signals:
        signal.signal(each, end)
    return came


def _run(stack: ExitStack, serve: bool, limit: float) -> int:
    view = stack.enter_context(View())
    view.say("Starting PostgreSQL, Valkey, Celery workers and beat …")
    folder = stack.enter_context(_folder())
    os.environ.update(stack.enter_context(services(folder)))
    stack.enter_context(_own_database())
    _set_up_django()
    children = [
        stack.enter_context(processes.running(name, command, folder))
        for name, command in processes.workers(folder, events=serve).items()
    ]
    receivers = stack.enter_context(Receivers(view.post))
    _wait_for_workers(children)
    pages = _pages(stack, folder) if serve else None
    view.say("Bus 55 is saved and crashes, tram 7 is deleted; six hooks are to be told.")
    view.watch()
    story.begin(receivers)
    _wait(
        lambda: not story.missing(story.result(receivers.posts)),
        lambda: view.settled(story.settled()),
        limit,
    )
    found = story.result(receivers.posts)
    view.summary(found)
    lacking = story.missing(found)
    if lacking:
        view.say("\n[bold red]The demo failed.[/] " + " ".join(lacking))
        return 1
    view.say("Everything that was owed is settled.")
    if pages is not None:
        _stay(view, receivers, pages)
    return 0


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of this run's own, where temporary files go too."""
    base = ROOT / ".demo"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=base, prefix=f"run-{os.getpid()}-", ignore_cleanup_errors=True
    ) as name:
        os.environ["TMPDIR"] = name
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        yield Path(name)


@contextmanager
def _own_database() -> Iterator[None]:
    """A database for this run alone, dropped afterwards, on the PostgreSQL that is given."""
    import dj_database_url
    import psycopg
    from psycopg.sql import SQL, Identifier

    url = os.environ["DATABASE_URL"]
    if not url.startswith("postgres"):
        yield
        return
    name = f"doh_demo_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        given = str(dj_database_url.parse(url)["NAME"])
        os.environ["DATABASE_URL"] = url.removesuffix(given) + name
        try:
            yield
        finally:
            _close_connections()
            server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()


def _set_up_django() -> None:
    import django
    from django.core.management import call_command

    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()
    call_command("migrate", verbosity=0)
    with Path(os.devnull).open("w") as nowhere:
        call_command("check", fail_level="WARNING", stdout=nowhere)


def _wait_for_workers(children: "list[subprocess.Popen[bytes]]") -> None:
    """Wait until the workers answer: all of them but beat, which is asked nothing."""
    from project.celery import app

    def ready() -> bool:
        if any(child.poll() is not None for child in children):
            raise SystemExit("A Celery process ended as it started.")
        return len(app.control.ping(timeout=0.3)) == len(children) - 1

    if not _wait(ready, lambda: None, START_LIMIT):
        raise SystemExit(f"The Celery workers did not start within {START_LIMIT:g} s.")


def _wait(condition: Callable[[], bool], each: Callable[[], None], limit: float) -> bool:
    deadline = time.monotonic() + limit
    while not condition():
        each()
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    each()
    return True


@dataclass(frozen=True)
class Pages:
    """The ports of the two sites to look at."""

    admin: int
    flower: int


def _pages(stack: ExitStack, folder: Path) -> Pages:
    """Start the admin and Flower, before anything happens that they could miss."""
    os.environ["FLOWER_BASIC_AUTH"] = ":".join(LOGIN)
    ports = Pages(free_port(), free_port())
    site = ["django", "runserver", "--noreload", f"127.0.0.1:{ports.admin}"]
    for name, command, port in (
        ("web", site, ports.admin),
        ("flower", processes.flower(ports.flower), ports.flower),
    ):
        child = stack.enter_context(processes.running(name, command, folder))
        processes.wait_until_open(name, child, port)
    return ports


def _stay(view: View, receivers: Receivers, ports: Pages) -> None:
    """Leave it running until Ctrl-C."""
    from django.contrib.auth import get_user_model
    from vehicles.models import Vehicle

    name, password = LOGIN
    admin = get_user_model().objects.create_superuser(name, password=password)
    bus = Vehicle.objects.get(name="55")
    story.register(receivers, "healthy", admin, bus, "*")
    story.register(receivers, "flaky", admin, bus, "*")
    view.say(f"""
  admin   http://127.0.0.1:{ports.admin}/admin/vehicles/vehicle/{bus.pk}/change/
  Flower  http://127.0.0.1:{ports.flower}/
  login   {name} / {password}

Save bus 55 in the admin and watch it arrive here. Ctrl-C ends it.
""")
    # In steps: whichever thread the signal comes to, it is noticed.
    while True:
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
