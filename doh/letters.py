"""Which deliveries somebody means, and running a step of the journal over all of them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.apps import apps
from django.db.models import Q

from doh.journal import Journal, Step, ledger_alias
from doh.models import Delivery, content_type_of
from doh.querysets import DeliveryQuerySet

#: Rows that one transaction moves.
STEP: Final = 500
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

#: A method of the journal that takes one step: rows, the key to go on after, rows at most.
Mover = Callable[[DeliveryQuerySet, int, int], Step]


@dataclass(frozen=True, slots=True)
class Selection:
    """Deliveries by what they are about; what is None does not matter.

    ``host`` is a target's host, with any port unless it names one; ``model`` an ``app.Model``
    label; ``event`` an event's id or the ``webhook-id`` it is sent with; ``reason`` a piece of the
    text that tells why. Ages are seconds since the last outcome.
    """

    hooks: tuple[int, ...] = ()
    host: str | None = None
    model: str | None = None
    action: str | None = None
    event: str | None = None
    reason: str | None = None
    older_than: float | None = None
    newer_than: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return self == Selection()

    def rows(self, journal: Journal) -> DeliveryQuerySet:
        """The deliveries meant; raises LookupError for a model that is not installed."""
        rows = Delivery.objects.using(ledger_alias()).filter(self._about(), self._aged(journal))
        return rows.filter(hook__in=self.hooks) if self.hooks else rows

    def _about(self) -> Q:
        wanted = {
            "event__label": None if self.model is None else _label(self.model),
            "event__action": self.action,
            "detail__icontains": self.reason,
        }
        chosen = Q(**{name: value for name, value in wanted.items() if value is not None})
        if self.host is not None:
            chosen &= _host(self.host.lower())
        return chosen if self.event is None else chosen & _event(self.event)

    def _aged(self, journal: Journal) -> Q:
        chosen, now = Q(), journal.now()
        if self.older_than is not None:
            chosen &= Q(updated_at__lt=now - timedelta(seconds=self.older_than))
        if self.newer_than is not None:
            chosen &= Q(updated_at__gte=now - timedelta(seconds=self.newer_than))
        return chosen


def move_all(move: Mover, rows: DeliveryQuerySet, size: int | None = None) -> Iterator[int]:
    """Move every row in steps, each committed before its number is yielded."""
    last: int | None = 0
    while last is not None:
        moved, last = move(rows, last, size or STEP)
        yield moved


def seconds_of(age: str) -> float:
    """The seconds of an age: 90s, 30m, 12h, 7d or 2w; raises ValueError for anything else."""
    found = _AGE.fullmatch(age.strip().lower())
    if found is None:
        raise ValueError(f"{age!r} is no age: write 90s, 30m, 12h, 7d or 2w.")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > 100 * 366 * 86_400:
        raise ValueError(f"{age!r} is more than a century.")
    return seconds


def _label(model: str) -> str:
    """As events name it: a proxy's is its concrete model's."""
    kind = content_type_of(apps.get_model(model), ledger_alias())
    return f"{kind.app_label}.{kind.model}"


def _host(host: str) -> Q:
    return Q(host=host) | Q(host__startswith=f"{host}:")


def _event(name: str) -> Q:
    return Q(event=int(name)) if name.isascii() and name.isdigit() else Q(event__uid=name)
