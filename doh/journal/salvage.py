"""Salvage: an outcome that can't be written takes none of its neighbours along."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from django.db import DataError, IntegrityError

from doh.exceptions import stack_of
from doh.journal.flushing import FlushLedger
from doh.journal.records import Flushed, Ring, Settled
from doh.models import Delivery
from doh.types import Outcome, Verdict

logger = logging.getLogger(__name__)

#: What a database, its driver or Python says of a value that does not fit its column.
_UNFIT = (DataError, IntegrityError, ValueError, TypeError, OverflowError)


class SalvageLedger(FlushLedger):
    """The part of the journal that writes outcomes, whatever they hold."""

    def flush(self, ring: Ring, settled: Sequence[Settled], *, done: bool) -> Flushed:
        """See `FlushLedger.flush`; an outcome that does not fit is written as a dead letter.

        It is found by halves, each half a transaction of its own.
        """
        try:
            return super().flush(ring, settled, done=done)
        except _UNFIT as error:
            if not settled:
                raise
            if len(settled) == 1:
                return self._bury(ring, settled[0], error, done=done)
        middle = len(settled) // 2
        first = self.flush(ring, settled[:middle], done=False)
        if first.fenced:
            return first
        second = self.flush(ring, settled[middle:], done=done)
        return Flushed(
            fenced=second.fenced,
            written=first.written + second.written,
            result_events=first.result_events + second.result_events,
            dead=first.dead + second.dead,
        )

    def _bury(self, ring: Ring, one: Settled, error: Exception, *, done: bool) -> Flushed:
        """Write what is left of an outcome: with its payload if that fits, else without."""
        logger.error(
            "The outcome of event %s for hook %s can't be written: it becomes a dead letter: %s",
            one.owed.event_id,
            one.owed.hook_id,
            stack_of(error),
        )
        letter = _unwritable(one, error)
        try:
            return super().flush(ring, [letter], done=done)
        except _UNFIT:
            bare = replace(letter, body=None, outcome=replace(letter.outcome, host=""))
            return super().flush(ring, [bare], done=done)


def _unwritable(one: Settled, error: Exception) -> Settled:
    was = one.outcome.verdict
    detail = f"the outcome ({was}) could not be written: {type(error).__name__}"
    return Settled(
        owed=one.owed,
        outcome=Outcome(Verdict.DEAD, detail, attempted=False, host=one.outcome.host),
        status=Delivery.Status.DEAD,
        attempts=one.owed.attempts + one.outcome.attempted,
        body=one.body,
    )
