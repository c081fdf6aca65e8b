"""What the journal takes and gives: values that nobody changes, frozen or not (`doh.types`)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

from doh.types import DEFERRED, Outcome, Pair, Trace


class Ring(NamedTuple):
    """What a doorbell for one batch says: its id and the epoch at which it may be claimed."""

    batch_id: int
    epoch: int


class Lanes(NamedTuple):
    """Doorbells of batches by the lane that they belong on."""

    first: list[Ring]
    slow: list[Ring]


@dataclass(frozen=True, slots=True)
class EventClaim:
    """An event that is ours to fan out, or whose result hook is ours to run, for one lease."""

    id: int
    epoch: int
    content_type_id: int
    label: str
    object_id: str
    action: str
    using: str
    deliverer: str
    payload: str | None = field(repr=False)
    hooks_until: int
    fanned_to: int
    tries: int
    traceparent: str | None = None

    @property
    def futile(self) -> int:
        """How often it was claimed and neither ended nor failed: its claimants died."""
        return self.epoch - self.tries


class NewEvent(NamedTuple):
    """What is written of an event in the transaction that caused it; names of columns."""

    uid: str
    content_type_id: int
    label: str
    object_id: str
    action: str
    using: str
    deliverer: str
    result_hook: bool
    payload: str | None
    snapshot: str | None
    error: str
    traceparent: str | None
    tracestate: str | None
    occurred_at: datetime

    def __repr__(self) -> str:
        return f"<NewEvent {self.uid}>"


class EventRow(NamedTuple):
    """What is sent of an event."""

    id: int
    uid: str
    label: str
    object_id: str
    action: str
    using: str
    deliverer: str
    payload: str | None
    snapshot: str | None
    error: str
    traceparent: str | None
    tracestate: str | None

    def __repr__(self) -> str:
        return f"<EventRow {self.id}>"

    @property
    def name(self) -> str:
        """``app.model.action``."""
        return f"{self.label}.{self.action}"

    @property
    def trace(self) -> Trace | None:
        """What its POSTs carry on."""
        return None if self.traceparent is None else Trace(self.traceparent, self.tracestate)


@dataclass(frozen=True, slots=True)
class Waited:
    """What a deferred pair has waited so far, seen from its claim.

    ``since`` is its first deferral after the last outcome, ``seconds`` ago; ``slot`` is the
    seconds until the slot it was given, below zero where that has passed, None if it has none.
    """

    since: datetime
    seconds: float
    slot: float | None = None
    granted: int = 0


@dataclass(slots=True, unsafe_hash=True)
class Owed:
    """A pair that a claimed batch still owes; ``first`` until it has a delivery.

    ``uncounted`` is a pair with a delivery that was only ever deferred: its event still waits for
    its first outcome. ``blocked`` tells that the guard refused its target the last time.
    """

    event_id: int
    hook_id: int
    attempts: int = 0
    body: str | None = field(default=None, repr=False)
    first: bool = True
    uncounted: bool = False
    waited: Waited | None = None
    blocked: bool = False

    @property
    def pending(self) -> bool:
        """Whether its event waits for its first outcome."""
        return self.first or self.uncounted

    @property
    def pair(self) -> Pair:
        """What is owed, to whom."""
        return Pair(self.event_id, self.hook_id)

    @property
    def key(self) -> str:
        """Its name among the rendered bodies of a batch."""
        return f"{self.event_id}:{self.hook_id}"


@dataclass(frozen=True, slots=True)
class BatchClaim:
    """A batch that is ours to send for one lease.

    ``at`` is when it was claimed, by the database's clock; ``since`` is when it was asked for, in
    seconds of this machine's monotonic clock.
    ``given_up`` means that it was claimed in vain too often: its pairs are to be settled as dead
    letters, without another look at them.
    """

    id: int
    epoch: int
    owed: tuple[Owed, ...]
    at: datetime
    bodies: dict[str, str] | None = field(default=None, repr=False)
    given_up: bool = False
    since: float = field(default_factory=monotonic, compare=False)

    @property
    def ring(self) -> Ring:
        """The doorbell at which somebody else may claim it after us."""
        return Ring(self.id, self.epoch)

    def now(self) -> datetime:
        """The database's time, off by no more than the claim took."""
        return self.at + timedelta(seconds=monotonic() - self.since)


@dataclass(slots=True)
class Settled:
    """One pair after a look at it, ready to be written.

    ``status`` is a `Delivery.Status`; ``delay`` is seconds until the next attempt, for a waiting
    one; ``attempts`` counts the POSTs made so far. ``slot`` and ``granted`` are those of a
    deferral (`doh.types.Deferred`).
    """

    owed: Owed
    outcome: Outcome
    status: str
    attempts: int
    delay: float | None = None
    body: str | None = field(default=None, repr=False)
    slot: float | None = None
    granted: int = 0

    @property
    def deferred(self) -> bool:
        """Whether it waits without an attempt."""
        return self.outcome.verdict is DEFERRED


class FannedOut(NamedTuple):
    """So many events owe nothing themselves any more: the doorbells are those of what does.

    ``traces`` are the trace contexts of the events.
    """

    events: int = 0
    traces: frozenset[str] = frozenset()
    rings: tuple[Ring, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that ran out of attempts."""

    delivery_id: int
    event_id: int
    hook_id: int
    reason: str


class Step(NamedTuple):
    """What one step over chosen deliveries did: how many it moved, and the key to go on after.

    ``last`` is None when there are no more.
    """

    moved: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush did; ``fenced`` means that the batch was no longer ours and nothing was.

    ``written`` are the outcomes that were new to the ledger.
    """

    fenced: bool = False
    written: tuple[Settled, ...] = ()
    result_events: tuple[int, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
