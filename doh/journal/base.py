"""The journal in the ORM's words, for every database that Django speaks to."""

from doh.journal.batches import BatchLedger
from doh.journal.failing import FailingLedger
from doh.journal.fanning import FanningLedger
from doh.journal.heartbeats import HeartbeatLedger
from doh.journal.letters import LetterLedger
from doh.journal.pruning import PruneLedger
from doh.journal.reading import ReadLedger
from doh.journal.recording import RecordLedger
from doh.journal.retrying import RetryLedger
from doh.journal.salvage import SalvageLedger


class Journal(
    RecordLedger,
    FanningLedger,
    BatchLedger,
    ReadLedger,
    SalvageLedger,
    RetryLedger,
    LetterLedger,
    FailingLedger,
    PruneLedger,
    HeartbeatLedger,
):
    """Claims, slices, flushes: each method is one short transaction in the ledger's database.

    Every claim raises the row's epoch. Whoever writes names the epoch of its own claim, so the
    late write of a claimant that was given up for dead changes nothing.
    """

    def create_functions(self) -> None:
        """Create what the journal has in the database besides its tables; raises DatabaseError."""
