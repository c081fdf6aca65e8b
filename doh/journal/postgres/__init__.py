"""The same journal in PostgreSQL's words, wherever somebody waits for it.

To have the ORM compose a statement takes longer than to run it. What is here is what a save, a
fan-out, a batch and its flush say each time; the rest is the ORM's.
"""

from django.db import transaction

from doh.journal.base import Journal
from doh.journal.postgres.claiming import PostgresBatches, claim_batch
from doh.journal.postgres.fanning import PostgresFanning, fan_out
from doh.journal.postgres.flushing import PostgresFlushing, count_off
from doh.journal.postgres.functions import create
from doh.journal.postgres.reading import PostgresReading, read_events
from doh.journal.postgres.recording import PostgresRecords, is_heard, record
from doh.journal.postgres.retrying import PostgresRetries


class PostgresJournal(
    PostgresRecords,
    PostgresFanning,
    PostgresBatches,
    PostgresReading,
    PostgresFlushing,
    PostgresRetries,
    Journal,
):
    """Half of the processor's time that the ORM takes for an event with one hook."""

    def create_functions(self) -> None:
        """See `Journal.create_functions`."""
        created = (
            record(self.alias, ask=True),
            record(self.alias, ask=False),
            is_heard(self.alias),
            fan_out(),
            claim_batch(),
            read_events(self.alias),
            count_off(),
        )
        with transaction.atomic(using=self.alias):
            create(self.alias, created)
