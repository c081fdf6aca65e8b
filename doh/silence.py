"""``silenced()``: a stretch of code whose saves and deletes are no events."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_silent: ContextVar[bool] = ContextVar("doh_silent", default=False)


@contextmanager
def silenced() -> Iterator[None]:
    """Record no event inside, whatever is saved, deleted or sent: for imports and back-fills."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def is_silent() -> bool:
    """Whether the running code stands inside `silenced`."""
    return _silent.get()
