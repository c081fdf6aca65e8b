"""Telemetry through the OpenTelemetry API: where it goes is for the project's SDK to say.

Names are those of the semantic conventions where they have one. Neither targets nor payloads nor
secrets are among the attributes; hosts stand in spans only, since metrics must not have a series
for each of them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from doh.journal import Settled
from doh.models import Delivery
from doh.telemetry.seam import Post, Telemetry
from doh.types import Outcome, Trace, Verdict
from doh.version import VERSION

SCOPE: Final = "doh"
#: Seconds; the last ones are the total timeout's.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"
#: What the standard wants passed on of a ``tracestate``; what is longer loses entries of more
#: characters than that first, then the last ones (https://www.w3.org/TR/trace-context/).
STATE_LENGTH: Final = 512
_LONG_ENTRY: Final = 128
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OTel(Telemetry):
    """Counts, measures and traces over the given providers, or over the global ones."""

    def __init__(
        self,
        meters: metrics.MeterProvider | None = None,
        tracers: TracerProvider | None = None,
    ) -> None:
        meter = metrics.get_meter(SCOPE, VERSION, meters)
        self._tracer = trace.get_tracer(SCOPE, VERSION, tracers)
        self._events = meter.create_counter(
            "doh.events", "{event}", "Events that were recorded and committed."
        )
        self._deliveries = meter.create_counter(
            "doh.deliveries", "{delivery}", "Outcomes that were written, by what they were."
        )
        self._unlimited = meter.create_counter(
            "doh.limits.unavailable", "{failure}", "Times that limits could not be asked for."
        )
        # From nothing: the first burst of a new process is an increase, too.
        self._unlimited.add(0)
        for outcome in _OUTCOMES:
            self._deliveries.add(0, {"doh.outcome": outcome})
        self._duration = meter.create_histogram(
            "doh.attempt.duration",
            "s",
            "From the start of a POST to its answer, or to giving it up.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )

    def trace(self) -> Trace | None:
        """As the span that runs now would send it."""
        return _inject(None)

    def recorded(self, label: str, action: str) -> None:
        """Count an event; there are as many series as models and actions."""
        self._events.add(1, {"doh.model": label, "doh.action": action})

    @contextmanager
    def working(self, queue: str, traceparents: Iterable[str | None]) -> Iterator[None]:
        """A span that is linked to the traces of all its events.

        Of an error it keeps the kind alone: its words may quote a payload, or a row.
        """
        links = [link for one in set(traceparents) if one and (link := _link(one))]
        attributes: dict[str, Any] = {
            "messaging.system": "celery",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
        }
        with self._tracer.start_as_current_span(
            f"process {queue}",
            kind=SpanKind.CONSUMER,
            links=links,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
                raise

    def post(self, trace: Trace, host: str, attempt: int) -> Post:
        """A span of its own on the trace of the request that caused the event."""
        return _TracedPost(self._tracer, trace, host, attempt)

    def settled(self, settled: Sequence[Settled]) -> None:
        """Count outcomes, and measure the POSTs among them."""
        for outcome, number in Counter(map(_outcome_of, settled)).items():
            self._deliveries.add(number, {"doh.outcome": outcome})
        for one in settled:
            if one.outcome.attempted:
                self._duration.record(one.outcome.elapsed, _attributes_of(one.outcome))

    def unlimited(self) -> None:
        """Count the times that POSTs were made without limits."""
        self._unlimited.add(1)


class _TracedPost(Post):
    """A client span from the moment of signing to that of the outcome."""

    __slots__ = ("_attempt", "_host", "_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, on: Trace, host: str, attempt: int) -> None:
        super().__init__(on)
        self._tracer, self._host, self._attempt = tracer, host, attempt
        self._span: Span | None = None

    def begin(self) -> Trace | None:
        """Open the span; without an SDK the event's own trace context is passed on."""
        context = _extract(self.trace)
        attributes: dict[str, Any] = {"http.request.method": "POST", "server.address": self._host}
        if self._attempt > 1:
            attributes["http.request.resend_count"] = self._attempt - 1
        self._span = self._tracer.start_span("POST", context, SpanKind.CLIENT, attributes)
        return _inject(trace.set_span_in_context(self._span, context)) or self.trace

    def end(self, outcome: Outcome) -> None:
        """Close the span with what the answer was."""
        if self._span is None:
            return
        self._span.set_attributes(_attributes_of(outcome))
        if outcome.status_code is None or outcome.status_code >= 400:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
        self._span = None


#: What `_outcome_of` can say.
_OUTCOMES: Final = (*Delivery.Status.values, str(Verdict.DEFERRED))


def _outcome_of(one: Settled) -> str:
    """The delivery's status; what a limit held back is ``deferred``."""
    return str(Verdict.DEFERRED if one.outcome.verdict is Verdict.DEFERRED else one.status)


def _inject(context: Context | None) -> Trace | None:
    """What a request would carry on from a context; None: from the present one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    parent = carrier.get(_PARENT)
    return None if parent is None else Trace(parent, _bounded(carrier.get(_STATE)))


def _extract(on: Trace | None) -> Context:
    carrier = {} if on is None else {_PARENT: on.parent, _STATE: on.state or ""}
    return _PROPAGATOR.extract(carrier)


def _bounded(state: str | None) -> str | None:
    """The whole entries of a ``tracestate`` that there is room for; None if nothing remains."""
    if state is None or len(state) <= STATE_LENGTH:
        return state or None
    entries = [entry for entry in state.split(",") if len(entry) <= _LONG_ENTRY]
    while len(",".join(entries)) > STATE_LENGTH:
        entries.pop()
    return ",".join(entries) or None


def _link(traceparent: str) -> Link | None:
    context = trace.get_current_span(_extract(Trace(traceparent))).get_span_context()
    return Link(context) if context.is_valid else None


def _attributes_of(outcome: Outcome) -> Mapping[str, Any]:
    """``error.type`` is the status code, or ``no_answer``: reasons would be too many series."""
    if outcome.status_code is None:
        return {"http.request.method": "POST", "error.type": "no_answer"}
    found: dict[str, Any] = {
        "http.request.method": "POST",
        "http.response.status_code": outcome.status_code,
    }
    if outcome.status_code >= 400:
        found["error.type"] = str(outcome.status_code)
    return found
