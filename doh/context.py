"""Which event, and which hook, the running deliverer works on.

The configured callables take ``(app_label, …)`` and ``(target, payload)``, which name neither.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from doh.journal import EventClaim
from doh.wire.headers import Headers
from doh.wire.request import Message
from doh.wire.signing import Keyring


@dataclass(slots=True)
class CurrentEvent:
    """The recorded event that a collection deliverer is called for.

    ``claim`` is set while a callable of the project's own holds it; a built-in deliverer that
    this callable delegates to takes the event over, and says so in ``taken``.
    """

    event_id: int
    claim: EventClaim | None = None
    taken: bool = False


@dataclass(slots=True)
class CurrentHook:
    """What an element deliverer needs to sign for the hook it was called for."""

    pk: int
    keyring: Keyring
    message: Message
    #: Seconds that the clock of this machine is behind the ledger's.
    drift: float = 0.0
    headers: Headers = field(default=(), repr=False)


current_event: ContextVar[CurrentEvent | None] = ContextVar("doh_event", default=None)
current_hook: ContextVar[CurrentHook | None] = ContextVar("doh_hook", default=None)


@contextmanager
def working_on(event: CurrentEvent) -> Iterator[None]:
    """Run a collection deliverer for a recorded event."""
    token = current_event.set(event)
    try:
        yield
    finally:
        current_event.reset(token)


@contextmanager
def sending_to(hook: CurrentHook) -> Iterator[None]:
    """Run an element deliverer for one hook."""
    token = current_hook.set(hook)
    try:
        yield
    finally:
        current_hook.reset(token)
