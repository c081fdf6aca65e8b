"""The same journal in PostgreSQL's words, wherever somebody waits for it.

To have the ORM compose a statement takes longer than to run it. What is here is what a save, a
fan-out, a batch and its flush say each time; the rest is the ORM's.
"""

from doh.journal.base import Journal
from doh.journal.postgres.claiming import PostgresBatches
from doh.journal.postgres.fanning import PostgresFanning
from doh.journal.postgres.flushing import PostgresFlushing
from doh.journal.postgres.reading import PostgresReading
from doh.journal.postgres.recording import PostgresRecords
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
