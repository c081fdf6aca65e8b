"""The heartbeat: each sweep leaves its time, wherever the ledger is."""

from datetime import datetime
from typing import Final

from doh.journal.ledger import Ledger
from doh.models import Heartbeat

_SWEEP: Final = "sweep"


class HeartbeatLedger(Ledger):
    """The part of the journal that knows when somebody last looked for what is due."""

    def beat(self) -> None:
        """Note that a sweep begins: beat sent it, the broker carried it, a worker does it."""
        rows, now = Heartbeat.objects.using(self.alias), self.now()
        if not rows.filter(pk=_SWEEP).update(at=now):
            rows.bulk_create([Heartbeat(name=_SWEEP, at=now)], ignore_conflicts=True)

    def last_beat(self) -> datetime | None:
        """When the last sweep began; None if there never was one."""
        rows = Heartbeat.objects.using(self.alias).filter(pk=_SWEEP)
        return rows.values_list("at", flat=True).first()
