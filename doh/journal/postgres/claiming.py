"""Claiming a batch, which is one statement."""

import json
from functools import cache
from typing import Final

from doh.again import again
from doh.journal.batches import BatchLedger, Taken
from doh.journal.postgres.functions import Function
from doh.journal.postgres.statements import Statements, table
from doh.journal.records import Ring
from doh.models import Batch, Delivery

# It is its own transaction: begun, made and ended at once.
_TAKE: Final = """
    UPDATE {batch} AS b
    SET epoch = epoch + 1, tries = tries + 1,
        due_at = statement_timestamp() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND epoch = %(epoch)s
    RETURNING pairs, bodies, tries, statement_timestamp(),
        EXISTS (SELECT FROM {delivery} WHERE batch_id = b.id)
"""


class PostgresBatches(Statements, BatchLedger):
    """The part of the journal that claims batches."""

    @again
    def _take(self, ring: Ring, lease: float) -> Taken | None:
        values = {"id": ring.batch_id, "epoch": ring.epoch, "lease": lease}
        for pairs, bodies, tries, at, is_named in self._call(claim_batch(), values):
            batch = Batch(
                pk=ring.batch_id,
                pairs=json.loads(pairs),
                bodies=bodies and json.loads(bodies),
                epoch=ring.epoch + 1,
                tries=tries,
            )
            return Taken(batch, at, is_named)
        return None


@cache
def claim_batch() -> Function:
    """Move a batch to the next epoch, and read it."""
    return Function(
        "claim_batch",
        _TAKE.format(batch=table(Batch), delivery=table(Delivery)),
        {"id": "bigint", "epoch": "int", "lease": "float"},
        ["jsonb", "jsonb", "int", "timestamptz", "boolean"],
    )
