"""``tally LOG``: what was owed, and what the listener has."""

import json
import sys
from argparse import ArgumentParser, FileType
from collections import Counter
from typing import Any, TextIO
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand
from standardwebhooks import Webhook, WebhookVerificationError

from doh.models import Delivery, Event, Hook

#: An event and the path of the hook that is owed it.
Pair = tuple[str, str]


class Command(BaseCommand):
    """The listener is the witness."""

    help = "Compare a listener's log with the ledger; the exit status is 0 if nothing is missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The log."""
        parser.add_argument("log", type=FileType(), help="a listener's log; - for standard input")

    def handle(self, *_: Any, log: TextIO, **__: Any) -> None:
        """Count, and say it in one line of JSON."""
        posts = [json.loads(line) for line in log]
        received = Counter(_pair(post) for post in posts)
        owed = _owed()
        found = {
            "owed": len(owed),
            "received": len(received),
            "lost": len(owed - received.keys()),
            "phantom": len(received.keys() - owed),
            "repeated": sum(received.values()) - len(received),
            "forged": _forged(posts),
            "unsettled": len(owed) - Delivery.objects.filter(status="succeeded").count(),
        }
        self.stdout.write(json.dumps(found))
        if any(found[name] for name in ("lost", "phantom", "forged", "unsettled")):
            sys.exit(1)


def _pair(post: dict[str, Any]) -> Pair:
    return post["headers"]["webhook-id"], post["path"]


def _owed() -> set[Pair]:
    """Every event for every hook: all of them listen to the one bus."""
    paths = [urlsplit(target).path for target in Hook.objects.values_list("target", flat=True)]
    return {(uid, path) for uid in Event.objects.values_list("uid", flat=True) for path in paths}


def _forged(posts: list[dict[str, Any]]) -> int:
    """POSTs whose signature is not that of the hook."""
    secrets = {urlsplit(hook.target).path: hook.secret for hook in Hook.objects.all()}
    return sum(not _is_signed(secrets.get(post["path"]), post) for post in posts)


def _is_signed(secret: str | None, post: dict[str, Any]) -> bool:
    if secret is None:
        return False
    try:
        Webhook(secret).verify(post["body"], post["headers"])
    except WebhookVerificationError:
        return False
    return True
