"""``manage.py doh_work``: sweep, retry, prune and look after failing hooks without Celery."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections

from doh.deliverers.chores import TURN, prune, work_once
from doh.failing import disable_failing
from doh.journal import get_journal
from doh.management.interruption import Interruption


class Command(BaseCommand):
    """Deliver what is due."""

    help = (
        "Deliver whatever is due (retries, and what a process left behind when it died), run"
        " result hooks, disable hooks that have failed for days, and prune the ledger. For projects"
        " without Celery: run it as a service, or with --once from cron."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="Do what is due now, and end.")
        parser.add_argument(
            "--every", type=float, default=2.0, metavar="SECONDS", help="Look so often (2)."
        )
        parser.add_argument(
            "--prune-every",
            type=float,
            default=3600.0,
            metavar="SECONDS",
            help="Prune, and look at failing hooks, so often (3600).",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Work until interrupted, or once."""
        if options["once"]:
            work_once()
            disable_failing(get_journal())
            self.stdout.write(f"Everything due is done; {prune().rows} rows pruned.")
            return
        self.stdout.write("Working; Ctrl-C or SIGTERM ends it.")
        with Interruption() as stopping:
            _work(stopping, options["every"], options["prune_every"])
        self.stdout.write("Stopped.")


def _work(stopping: Interruption, every: float, prune_every: float) -> None:
    """What was sent is written down before it ends, and the rest of a batch is handed back."""
    tidied_at, unpruned = float("-inf"), False
    while not stopping():
        close_old_connections()
        work_once(stopping)
        if time.monotonic() - tidied_at >= prune_every:
            disable_failing(get_journal())
            tidied_at, unpruned = time.monotonic(), True
        unpruned = unpruned and prune(TURN).more
        stopping.pause(0 if unpruned else every)
