"""Taking up again what is due, the hosts by turns."""

from datetime import datetime
from typing import Final

from doh.journal.postgres.statements import Statements, table
from doh.journal.retrying import WINDOW, Due, RetryLedger
from doh.models import Delivery

# The index of due rows gives the window; what is taken of it is ranked host by host and locked.
_DUE: Final = """
    SELECT d.event_id, d.hook_id, d.id, d.host, d.attempts
    FROM (
        SELECT id, due_at, row_number() OVER (PARTITION BY host ORDER BY due_at) AS turn
        FROM (
            SELECT id, host, due_at FROM {delivery}
            WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(window)s
        ) AS oldest
    ) AS placed
    JOIN {delivery} AS d USING (id)
    WHERE d.due_at <= %(now)s
    ORDER BY placed.turn, placed.due_at
    LIMIT %(limit)s
    FOR UPDATE OF d SKIP LOCKED
"""


class PostgresRetries(Statements, RetryLedger):
    """The part of the journal that takes deliveries up again."""

    def _due_in_turns(self, limit: int, now: datetime) -> list[Due]:
        values = {"now": now, "limit": limit, "window": limit * WINDOW}
        return [Due(*row) for row in self._run(_DUE.format(delivery=table(Delivery)), values)]
