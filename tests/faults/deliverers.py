"""The collection deliverer of the fault suite: its result hook writes down that it ran."""

import json
import os
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from doh.deliverers import results
from doh.deliverers.base import HooksDeliverer
from doh.journal import EventClaim, Journal
from doh.models import Hook
from tests.faults.files import FOLDER, TOLD

_event: ContextVar[int | None] = ContextVar("event", default=None)


class Telling(HooksDeliverer):
    """Appends the event and the number of its hooks to a file."""

    def after_deliver(self, hooks: QuerySet[Hook]) -> None:
        line = json.dumps({"event": _event.get(), "hooks": hooks.count()}) + "\n"
        with (Path(os.environ[FOLDER]) / TOLD).open("ab", buffering=0) as told:
            told.write(line.encode())


def _know_the_event() -> None:
    """A result hook is given the hooks alone; the suite wants to know for which event it ran."""
    run = results._run

    @wraps(run)
    def knowing(journal: Journal, claim: EventClaim, *rest: Any) -> None:
        token = _event.set(claim.id)
        try:
            run(journal, claim, *rest)
        finally:
            _event.reset(token)

    results._run = knowing


_know_the_event()
