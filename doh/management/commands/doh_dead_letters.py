"""``manage.py doh_dead_letters list|redrive|purge``: look at dead letters, and be rid of them."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from django.core.management.base import BaseCommand

from doh.journal import Journal, get_journal
from doh.letters import Selection
from doh.management import moving
from doh.management.arguments import add_filters, selection_of

#: How each column of the ledger is called in what is printed.
_COLUMNS: Final = {
    "id": "pk",
    "updated_at": "updated_at",
    "hook": "hook_id",
    "event": "event_id",
    "webhook_id": "event__uid",
    "model": "event__label",
    "object": "event__object_id",
    "action": "event__action",
    "host": "host",
    "attempts": "attempts",
    "status_code": "status_code",
    "reason": "detail",
}
_DONE: Final = {"redrive": "redriven", "purge": "purged"}


class Command(BaseCommand):
    """Dead letters as people use them."""

    help = (
        "Dead letters: deliveries that ran out of attempts. list them, redrive them (send them"
        " again, with a whole schedule of attempts) or purge them (give them up for good). Works"
        " in short transactions beside running workers; interrupted, it is simply run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what to do, and the options."""
        parser.add_argument("do", choices=("list", *_DONE))
        add_filters(parser)
        parser.add_argument("--json", action="store_true", help="list: a JSON object per line.")
        parser.add_argument("--limit", type=int, help="list: so many at most.")
        parser.add_argument("--all", action="store_true", help="redrive, purge: without a filter.")
        parser.add_argument("--dry-run", action="store_true", help="Only say how many.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do it."""
        journal, which = get_journal(), selection_of(options)
        if options["do"] == "list":
            self._list(journal, which, options)
        else:
            moving.refuse_everything(which, options)
            self._move(journal, which, options["do"], only_count=options["dry_run"])

    def _list(self, journal: Journal, which: Selection, options: dict[str, Any]) -> None:
        number = 0
        for letter in _letters(journal, which, options["limit"]):
            number += 1
            self.stdout.write(_as_json(letter) if options["json"] else _as_line(letter))
        if not options["json"]:
            self.stdout.write(f"{number} dead letter(s).")

    def _move(self, journal: Journal, which: Selection, verb: str, *, only_count: bool) -> None:
        total = journal.count_letters(which.rows(journal))
        if only_count:
            self.stdout.write(f"{total} dead letter(s) would be {_DONE[verb]}.")
            return
        move = journal.redrive if verb == "redrive" else journal.purge
        number = moving.run(self, journal, move, which, done=_DONE[verb], total=total)
        self.stdout.write(f"{number} dead letter(s) {_DONE[verb]}.")


def _letters(journal: Journal, which: Selection, limit: int | None) -> Iterator[dict[str, Any]]:
    rows = which.rows(journal).dead().order_by("pk").values_list(*_COLUMNS.values())
    for row in (rows if limit is None else rows[:limit]).iterator(chunk_size=1000):
        yield dict(zip(_COLUMNS, row, strict=True))


def _as_json(letter: dict[str, Any]) -> str:
    return json.dumps(letter | {"updated_at": letter["updated_at"].isoformat()})


def _as_line(letter: dict[str, Any]) -> str:
    return (
        f"{letter['id']}  {letter['updated_at']:%Y-%m-%d %H:%M:%S%z}  hook {letter['hook']}"
        f"  {letter['model']} {letter['object']} {letter['action']}  {letter['host'] or '-'}"
        f"  {letter['attempts']} attempt(s)  {letter['reason']}"
    )
