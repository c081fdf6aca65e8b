"""The checker: compares what was committed, what the ledger says and what the witness saw."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from doh.models import Delivery, Event, Hook
from tests.app.models import Depot
from tests.faults.files import COMMITTED, RECEIVED, TOLD
from tests.journal.invariant import assert_owned_once

FINAL = (Delivery.Status.SUCCEEDED, Delivery.Status.DEAD, Delivery.Status.CANCELLED)
SHOWN = 5

#: A public event id, and the name of a hook in the witness's paths.
Told = tuple[str, str]


@dataclass
class Findings:
    """What the checker found; each list holds the cases that break a promise."""

    events: int = 0
    deliveries: int = 0
    received: int = 0
    duplicates: int = 0
    after_deliver_again: int = 0
    lost: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    ownership: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Every broken promise, in words."""
        kinds = {
            "lost": self.lost,
            "phantom": self.phantom,
            "not settled": self.unsettled,
            "signature not valid": self.invalid,
            "body or id changed": self.changed,
            "after_deliver did not run": self.untold,
            "ownership": self.ownership,
        }
        return [
            f"{name}: {len(cases)} ({', '.join(cases[:SHOWN])})"
            for name, cases in kinds.items()
            if cases
        ]


def check(folder: Path, durable: bool = True) -> Findings:
    """Look at everything once all is settled.

    ``durable`` is off where the row takes away what the database had committed.
    """
    found = Findings()
    received = lines(folder / RECEIVED)
    _check_events(found, folder, durable)
    _check_posts(found, received)
    _check_pairs(found, received)
    _check_result_hooks(found, folder)
    found.ownership += look()
    return found


def look() -> list[str]:
    """Whether the invariant of ownership holds at this moment: what breaks it."""
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            assert_owned_once()
    except AssertionError as error:
        return [str(error)[:300]]
    return []


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON; its writer may have died in the middle of the last."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def _check_events(found: Findings, folder: Path, durable: bool) -> None:
    """Every save that committed is an event, and no other is."""
    saved = dict(Depot.objects.values_list("name", "id"))
    told = dict(Event.objects.filter(action="created").values_list("object_id", "pk"))
    found.events = len(told)
    if durable:
        noted = {line["name"] for line in lines(folder / COMMITTED)}
        found.lost += sorted(f"save {name}" for name in noted - saved.keys())
    found.lost += [f"event of {name}" for name, key in saved.items() if str(key) not in told]
    keys = {str(key) for key in saved.values()}
    found.phantom += [f"event {pk}" for key, pk in told.items() if key not in keys]
    found.phantom += [f"save {name}" for name in saved if name.startswith("x")]


def _check_posts(found: Findings, received: list[dict[str, Any]]) -> None:
    """Every POST is signed, and says the same as its event does."""
    found.received = len(received)
    bodies = {
        uid: hashlib.sha256(payload.encode()).hexdigest()[:32]
        for uid, payload in Event.objects.exclude(payload=None).values_list("uid", "payload")
    }
    for post in received:
        if not post["valid"]:
            found.invalid.append(f"{post['id']} {post['hook']}")
        if post["id"] not in bodies:
            found.phantom.append(f"POST {post['id']}")
        elif bodies[post["id"]] != post["body"]:
            found.changed.append(post["id"])


def _check_pairs(found: Findings, received: Iterable[dict[str, Any]]) -> None:
    """Every pair was received or is visibly not going to be; repeats are counted."""
    posts: Counter[Told] = Counter((post["id"], post["hook"]) for post in received)
    settled = _deliveries()
    found.deliveries = len(settled)
    for pair in expected_pairs():
        status, attempts = settled.pop(pair, ("", 0))
        if status not in FINAL:
            found.unsettled.append(" ".join(pair))
        elif status == Delivery.Status.SUCCEEDED and not posts[pair]:
            found.lost.append(" ".join(pair))
        # The ledger counts its POSTs: one that it does not know of was sent by somebody who died.
        found.duplicates += max(0, posts.pop(pair, 0) - attempts)
    found.phantom += [f"delivery {' '.join(pair)}" for pair in settled]
    found.phantom += [f"POST {' '.join(pair)}" for pair in posts]


def expected_pairs() -> set[Told]:
    """Whom every event is owed to: here hooks listen to a whole model, and came before it."""
    hooks = defaultdict(list)
    for pk, target, action in Hook.objects.filter(object_id=None).values_list(
        "pk", "target", "action"
    ):
        hooks[action].append((pk, name_in(target)))
    return {
        (uid, name)
        for uid, action, until in Event.objects.values_list("uid", "action", "hooks_until")
        for pk, name in hooks[action]
        if pk <= until
    }


def name_in(target: str) -> str:
    """The name of a hook in the witness's paths."""
    return target.split("/")[3]


def _deliveries() -> dict[Told, tuple[str, int]]:
    uids = dict(Event.objects.values_list("pk", "uid"))
    names = {pk: name_in(target) for pk, target in Hook.objects.values_list("pk", "target")}
    return {
        (uids[event], names[hook]): (status, attempts)
        for event, hook, status, attempts in Delivery.objects.values_list(
            "event_id", "hook_id", "status", "attempts"
        )
    }


def _check_result_hooks(found: Findings, folder: Path) -> None:
    """``after_deliver`` ran for each event that had a hook, and how often it ran again."""
    runs = Counter(line["event"] for line in lines(folder / TOLD))
    owed = set(Delivery.objects.values_list("event_id", flat=True).distinct())
    found.untold += [f"event {pk}" for pk in sorted(owed - runs.keys())]
    found.after_deliver_again = sum(runs.values()) - len(runs)
    found.phantom += [f"after_deliver of event {pk}" for pk in runs.keys() - owed]
