"""``manage.py doh_retry_now``: don't wait for the schedule."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from doh.journal import get_journal
from doh.management import moving
from doh.management.arguments import add_filters, selection_of


class Command(BaseCommand):
    """Make the next attempt of waiting deliveries due at once."""

    help = (
        "Send deliveries that wait for their next attempt now: say, because the receiver is up"
        " again. It counts as the next attempt of their schedule."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_filters(parser)
        parser.add_argument("--all", action="store_true", help="Without a filter.")
        parser.add_argument("--dry-run", action="store_true", help="Only say how many.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do it."""
        journal, which = get_journal(), selection_of(options)
        moving.refuse_everything(which, options)
        total = journal.count_letters(which.rows(journal), dead=False)
        if options["dry_run"]:
            self.stdout.write(f"{total} delivery(s) would be due now.")
            return
        number = moving.run(self, journal, journal.retry_now, which, done="due now", total=total)
        self.stdout.write(f"{number} delivery(s) due now.")
