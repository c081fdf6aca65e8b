"""Value objects that more than one room speaks of.

Nobody changes any of them. Those of which each POST makes one are not frozen all the same: that
would make them take four times as long to make.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

#: Why a pair is cancelled whose hook is disabled when its turn comes.
HOOK_DISABLED: Final = "the hook is disabled"
#: Hooks of which a process keeps what took it time to open: 0.9 KB each.
KEPT_HOOKS: Final = 20_000
#: Bytes of an answer's body that are read; the rest is not worth a worker's memory.
BODY_LIMIT: Final = 16_384
#: Bytes of headers, interim answers included, past which an answer is none.
HEADER_LIMIT: Final = 32_768
#: Ports on which web servers are found, and hardly anything else.
WEB_PORTS: Final = (80, 443, 8080, 8443)


class Secret(str):
    """Text that no traceback and no repr shows; print it to read it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


class Trace(NamedTuple):
    """W3C trace context of what caused something: ``traceparent`` and ``tracestate``."""

    parent: str
    state: str | None = None


class Pair(NamedTuple):
    """One hook that is owed one event."""

    event_id: int
    hook_id: int


class Verdict(StrEnum):
    """What becomes of a pair after a look at it."""

    SUCCEEDED = "succeeded"
    RETRY = "retry"
    GONE = "gone"
    #: The target's address may not be dialled.
    BLOCKED = "blocked"
    DEAD = "dead"
    DEFERRED = "deferred"
    CANCELLED = "cancelled"


#: What is asked of every outcome, looked up once: Python 3.11 takes 0.2 microseconds each time.
SUCCEEDED: Final = Verdict.SUCCEEDED
BLOCKED: Final = Verdict.BLOCKED
DEFERRED: Final = Verdict.DEFERRED


@dataclass(slots=True)
class Outcome:
    """How one look at a pair ended.

    ``attempted`` tells whether a POST was made; ``retry_after`` is what the receiver asked for,
    in seconds; ``disable`` is the reason to disable the hook, if there is one; ``elapsed`` is in
    seconds.
    """

    verdict: Verdict
    detail: str = ""
    status_code: int | None = None
    attempted: bool = True
    retry_after: float | None = None
    disable: str | None = None
    elapsed: float = 0.0
    host: str = ""
    #: The detail in the words of the project's own code, which may quote anything: it goes into
    #: the ledger, and into no log and no message.
    said: str = field(default="", repr=False)

    @property
    def full_detail(self) -> str:
        """What the ledger keeps."""
        return self.said or self.detail


@dataclass(frozen=True, slots=True)
class Deferred:
    """A pair is to wait without a POST: why, and for how many seconds.

    ``slot`` is the seconds until the slot that rate limits gave it, None where they gave none;
    ``granted`` says which of them did, one bit each.
    """

    detail: str
    delay: float
    slot: float | None = None
    granted: int = 0


@dataclass(slots=True)
class Answer:
    """What a receiver answered: the first bytes of the body, undecoded, and seconds elapsed."""

    status_code: int
    reason: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    elapsed: float


@dataclass(slots=True)
class Failure:
    """Why no complete answer came; ``detail`` is fit for the hook's owner to read.

    ``blocked`` tells that the guard refused the target: nothing was sent.
    """

    detail: str
    elapsed: float = 0.0
    blocked: bool = False
