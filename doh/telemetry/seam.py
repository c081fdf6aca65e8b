"""What the rest of the package tells of itself; told to nobody unless telemetry is on."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple

from doh import conf
from doh.journal import Settled
from doh.types import Outcome, Trace

logger = logging.getLogger(__name__)


class Post:
    """One POST on the trace of the request that caused it; this one only passes the trace on."""

    __slots__ = ("trace",)

    def __init__(self, trace: Trace | None) -> None:
        self.trace = trace

    def begin(self) -> Trace | None:
        """The POST starts; returns the trace context to send, None for none."""
        return self.trace

    def end(self, outcome: Outcome) -> None:
        """The POST has ended."""


#: The POST of an event that no trace caused.
UNTRACED: Final = Post(None)


class Telemetry:
    """The silent one."""

    def trace(self) -> Trace | None:
        """W3C trace context of whatever runs now; None if nothing is traced."""
        return None

    def recorded(self, label: str, action: str) -> None:
        """An event was committed."""

    def working(
        self,
        queue: str,  # noqa: ARG002
        traceparents: Iterable[str | None],  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """A task does what the events of these traces owe."""
        return nullcontext()

    def post(self, trace: Trace, host: str, attempt: int) -> Post:  # noqa: ARG002
        """A POST is to be made on this trace, the attempt of that number."""
        return Post(trace)

    def settled(self, settled: Sequence[Settled]) -> None:
        """Outcomes were written."""

    def unlimited(self) -> None:
        """Limits could not be asked for: POSTs are made without them for a while."""


class Gauge(NamedTuple):
    """A value that is read when it is asked for; ``read`` gives values with their attributes."""

    name: str
    unit: str
    description: str
    read: Callable[[], Iterable[tuple[float, dict[str, str]]]]


#: Gauges that rooms above this one bring along when they are imported.
brought: Final[list[Gauge]] = []

_SILENT: Final = Telemetry()
_installed: Telemetry | None = None


def telemetry() -> Telemetry:
    """The telemetry of this process: the installed one, or that of the settings."""
    if _installed is not None:
        return _installed
    return _open() if conf.telemetry() else _SILENT


def install(chosen: Telemetry | None) -> None:
    """Use this telemetry in this process, whatever the settings say; None: as they say again."""
    global _installed  # noqa: PLW0603 - one per process
    _installed = chosen


def _open() -> Telemetry:
    """OpenTelemetry over the providers that the project has set up; silent where it is missing."""
    try:
        from doh.telemetry.otel import OTel
    except ImportError:
        logger.exception("HOOK_TELEMETRY is on, but opentelemetry-api is missing: all stays silent")
        install(_SILENT)
        return _SILENT
    opened = OTel()
    install(opened)
    return opened
