"""The journal: every transaction that moves ownership of what is owed, and nothing else."""

from django.db import connections, router

from doh.journal.base import Journal
from doh.journal.postgres import PostgresJournal
from doh.journal.records import (
    BatchClaim,
    DeadLetter,
    EventClaim,
    EventRow,
    Flushed,
    Lanes,
    NewEvent,
    Owed,
    Ring,
    Settled,
    Step,
)
from doh.models import Event

__all__ = [
    "BatchClaim",
    "DeadLetter",
    "EventClaim",
    "EventRow",
    "Flushed",
    "Journal",
    "Lanes",
    "NewEvent",
    "Owed",
    "Ring",
    "Settled",
    "Step",
    "get_journal",
    "ledger_alias",
]


def ledger_alias() -> str:
    """Alias of the one database that holds the ledger."""
    return router.db_for_write(Event)


def get_journal() -> Journal:
    """The journal that suits the ledger's database."""
    alias = ledger_alias()
    if connections[alias].vendor == "postgresql":
        return PostgresJournal(alias)
    return Journal(alias)
