"""``manage.py doh_rotate_keys``: encrypt every secret anew under the newest key."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from doh.management.progress import Progress
from doh.rekeying import STEP, Column, encrypted_columns, rekey


class Command(BaseCommand):
    """Write what is encrypted again."""

    help = (
        "Encrypt every secret anew under the first of HOOK_ENCRYPTION_KEYS. Run it once every"
        " process has that key; then the old keys can go. It may be interrupted and run again,"
        " beside everything else: what is done already is left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--step", type=int, default=STEP, metavar="ROWS", help=f"Rows per transaction ({STEP})."
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Go through every encrypted column."""
        if options["step"] < 1:
            raise CommandError("--step must be a whole number above zero.")
        unreadable = []
        for column in encrypted_columns():
            unreadable += self._rotate(column, options["step"])
        if unreadable:
            raise CommandError(
                "No key in use opens these; they were left as they are:"
                f" {', '.join(unreadable)}. Put the key they were written with back at the end of"
                " HOOK_ENCRYPTION_KEYS and run this again, or give them new values."
            )

    def _rotate(self, column: Column, step: int) -> list[str]:
        progress = Progress(str(column), column.count())
        written, unreadable = 0, []
        for one in rekey(column, step):
            written += one.written
            unreadable += [f"{column} of {pk}" for pk in one.unreadable]
            progress.advance(one.seen)
        progress.end()
        self.stdout.write(f"{column}: {written} written under the newest key.")
        return unreadable
