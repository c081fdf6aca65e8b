"""Letters: move deliveries that somebody chose, in steps that can be interrupted and repeated."""

from typing import Any

from django.db import transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Substr

from doh.again import again
from doh.journal.among import among
from doh.journal.ledger import Ledger
from doh.journal.records import Step
from doh.models import DETAIL_LENGTH
from doh.querysets import OWED_AGAIN, DeliveryQuerySet

_DEAD = Q(status="dead")
#: Waits for its time; one that a batch owns is being sent already.
_WAITS = Q(status="waiting", due_at__isnull=False)


class LetterLedger(Ledger):
    """The part of the journal that people use.

    Each call is one step: it takes the next ``limit`` rows by key ``after`` the last one, locks
    them by pair as a flush does, passes by what others hold, and moves those that still stand
    where they should. A row is met once, so a run of steps ends however fast letters come in.
    """

    def count_letters(self, rows: DeliveryQuerySet, *, dead: bool = True) -> int:
        """How many of some deliveries a run of steps would move now."""
        return rows.using(self.alias).filter(_DEAD if dead else _WAITS).count()

    @again
    def redrive(self, rows: DeliveryQuerySet, after: int, limit: int) -> Step:
        """Owe the dead letters among some deliveries again, with a whole schedule of attempts."""
        return self._move(rows, _DEAD, after, limit, due_at=self.now(), **OWED_AGAIN)

    @again
    def retry_now(self, rows: DeliveryQuerySet, after: int, limit: int) -> Step:
        """Make the next attempt of waiting deliveries due; it counts as the schedule's next."""
        return self._move(rows, _WAITS, after, limit, due_at=self.now())

    @again
    def purge(self, rows: DeliveryQuerySet, after: int, limit: int) -> Step:
        """Give dead letters up for good: cancelled, their payload forgotten.

        The row stays until its event is pruned: without it, a batch that is not through yet would
        owe the pair again.
        """
        detail = Substr(Concat(Value("purged: "), F("detail")), 1, DETAIL_LENGTH)
        return self._move(rows, _DEAD, after, limit, status="cancelled", body=None, detail=detail)

    def _move(
        self, rows: DeliveryQuerySet, where: Q, after: int, limit: int, **change: Any
    ) -> Step:
        chosen = rows.using(self.alias).filter(where, pk__gt=after).order_by("pk")
        with transaction.atomic(using=self.alias):
            ids = list(chosen.values_list("pk", flat=True)[:limit])
            mine = self._deliveries().filter(where, among(ids)).order_by("event_id", "hook_id")
            locked = list(self._lock(mine, skip=True).values_list("pk", flat=True))
            moved = self._deliveries().filter(among(locked)).update(**change)
        return Step(moved, ids[-1] if len(ids) == limit else None)
