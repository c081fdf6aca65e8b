"""Move chosen deliveries from the command line: in steps, with progress, safe to interrupt."""

import sys

from django.core.management.base import BaseCommand, CommandError

from doh.journal import Journal
from doh.letters import Mover, Selection, move_all
from doh.management.interruption import Interruption
from doh.management.progress import Progress

#: Exit status of what Ctrl-C ended, as shells have it.
_INTERRUPTED = 130


def run(
    command: BaseCommand, journal: Journal, move: Mover, which: Selection, *, done: str, total: int
) -> int:
    """Move them all and say so in a word (``done``); returns how many.

    Each step is committed: interrupted, it says how far it came, and the next run does the rest.
    """
    progress, number = Progress(done, total), 0
    with Interruption() as stopping:
        for moved in move_all(move, which.rows(journal)):
            number += moved
            progress.advance(moved)
            if stopping():
                break
    progress.end()
    if stopping():
        command.stdout.write(f"Interrupted, {number} {done}: run it again for the rest.")
        sys.exit(_INTERRUPTED)
    return number


def refuse_everything(which: Selection, options: dict[str, object]) -> None:
    """Whoever means all of them must say so."""
    if which.is_everything and not options["all"]:
        raise CommandError("That is every one of them: name a filter (see --help), or say --all.")
