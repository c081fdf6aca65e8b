"""``manage.py doh_explain app.Model KEY``: why did, or didn't, anything fire."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from doh.explain import explain
from doh.management.arguments import model_of


class Command(BaseCommand):
    """Explain what happened to an object's hooks."""

    help = (
        "Say why hooks of an object did or didn't fire: settings, hooks, events, outcomes and"
        " next attempts. Prints no payload and no secret."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", metavar="app.Model")
        parser.add_argument("key", help="The object's primary key.")
        parser.add_argument("--action", help="Look at this action only.")
        parser.add_argument("--limit", type=int, default=5, help="Events to show (5).")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the explanation."""
        model = model_of(options["model"])
        for line in explain(model, options["key"], options["action"], options["limit"]):
            self.stdout.write(line)
