"""Arguments that more than one command takes."""

from argparse import ArgumentParser, ArgumentTypeError
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import models

from doh.letters import Selection, seconds_of


def add_filters(parser: ArgumentParser) -> None:
    """Declare the options that choose deliveries."""
    chosen = parser.add_argument_group("which", "Together they narrow down; none means all.")
    chosen.add_argument("--hook", type=int, action="append", metavar="ID", help="Of these hooks.")
    chosen.add_argument("--host", help="Sent to this target host.")
    chosen.add_argument("--model", metavar="app.Model", help="Of events of this model.")
    chosen.add_argument("--action", help="Of events of this action.")
    chosen.add_argument("--event", metavar="ID", help="Of this event: its id, or evt_….")
    chosen.add_argument("--reason", metavar="TEXT", help="With this in the reason.")
    for name, what in (("--older-than", "before"), ("--newer-than", "within")):
        chosen.add_argument(
            name, type=_age, metavar="AGE", help=f"Last tried {what} that: 90s, 30m, 12h, 7d, 2w."
        )


def selection_of(options: dict[str, Any]) -> Selection:
    """The deliveries that the options choose."""
    if options["model"] is not None:
        model_of(options["model"])
    names = ("host", "model", "action", "event", "reason", "older_than", "newer_than")
    chosen = {name: options[name] for name in names}
    return Selection(hooks=tuple(options["hook"] or ()), **chosen)


def model_of(label: str) -> type[models.Model]:
    """The model of a label; one that is not installed is an error that names the nearest."""
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        known = [model._meta.label for model in apps.get_models()]
        near = get_close_matches(label, known, n=1)
        mend = f"did you mean {near[0]}?" if near else "write it as app_label.Model."
        raise CommandError(f"{label!r} is no installed model: {mend}") from error


def _age(text: str) -> float:
    try:
        return seconds_of(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
