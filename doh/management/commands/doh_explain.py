"""``manage.py doh_explain app.Model KEY``: why did, or didn't, anything fire."""

from argparse import ArgumentParser
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import models

from doh.explain import explain


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
        model = _model(options["model"])
        for line in explain(model, options["key"], options["action"], options["limit"]):
            self.stdout.write(line)


def _model(label: str) -> type[models.Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        known = [model._meta.label for model in apps.get_models()]
        near = get_close_matches(label, known, n=1)
        mend = f"did you mean {near[0]}?" if near else "write it as app_label.Model."
        raise CommandError(f"{label!r} is no installed model: {mend}") from error
