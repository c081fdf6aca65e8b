"""A batch on its way through the pump."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from doh.deliverers.kinds import ElementDeliverer
from doh.dispatch import Job, Work
from doh.journal import Journal, Ring, Settled
from doh.lease import Lease
from doh.types import Answer


@dataclass(slots=True)
class Seen:
    """An answer that the project's ``after_deliver`` is to look at."""

    target: str = field(repr=False)
    answer: Answer


@dataclass(slots=True, eq=False)
class Flight:
    """The jobs of one claimed batch: waiting, in the air, or landed and not yet written.

    Only the loop's thread touches ``jobs`` and ``flying`` (jobs it has not reported), only the
    scribe's the fields below them. ``began`` is when it was made, in monotonic seconds: its jobs
    are held from then on.
    """

    journal: Journal
    ring: Ring
    lease: Lease
    watcher: type[ElementDeliverer] | None
    jobs: deque[Job]
    size: int
    #: What it takes of the pump's room: a job that is held until its slot takes none.
    places: int
    missing: int
    unwritten: list[Settled]
    began: float
    oldest: float
    seen: list[Seen] = field(default_factory=list)
    flying: int = field(init=False)
    #: Jobs were left: what remains of the batch lives on.
    cut_short: bool = False
    #: The batch is somebody else's now.
    lost: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.flying = len(self.jobs)

    @classmethod
    def of(
        cls,
        journal: Journal,
        work: Work,
        watcher: type[ElementDeliverer] | None,
    ) -> "Flight":
        """A flight for prepared work."""
        now = time.monotonic()
        return cls(
            journal=journal,
            ring=work.claim.ring,
            lease=work.lease,
            watcher=watcher,
            jobs=deque(work.jobs),
            size=len(work.jobs) + len(work.settled),
            places=len(work.settled) + sum(not job.hold for job in work.jobs),
            missing=len(work.jobs),
            unwritten=list(work.settled),
            began=now,
            oldest=now,
        )
