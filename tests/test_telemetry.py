"""Metrics and traces: what is told, and that nothing is where nobody asked."""

import os
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import transaction
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from doh import telemetry as room
from doh.gauges import observe
from doh.journal import get_journal
from doh.models import Delivery, Event
from doh.telemetry.otel import OTel
from doh.types import Trace
from doh_tasks.limits.store import Store
from tests import marks
from tests.app.models import Vehicle
from tests.workers import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


class Watched:
    """An SDK whose readings stay in memory."""

    def __init__(self):
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def readings(self):
        """What is not at nothing."""
        return {name: value for name, value in self.series().items() if value}

    def series(self):
        """Values by metric and attributes; of a histogram the number of values."""
        data = self._reader.get_metrics_data()
        return {
            (metric.name, *sorted(point.attributes.items())): getattr(
                point, "count", getattr(point, "value", None)
            )
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    def spans(self, name):
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def watched():
    found = Watched()
    room.install(OTel(found.meters, found.tracers))
    yield found
    room.install(None)


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def few(number):
    """A ``tracestate`` of so many entries, each of 44 characters, a comma between them."""
    return ",".join(f"vendor{n:02}={'x' * 35}" for n in range(number))


def save_in_request(watched, bus):
    """Save as a traced request would; returns the request's span context."""
    with watched.tracers.get_tracer("web").start_as_current_span("PUT /buses/55") as span:
        bus.save()
    return span.get_span_context()


def test_events_outcomes_and_attempts_are_counted(watched, bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0, 60]
    hook_on(bus)
    hook_on(bus, target=receiver.url("/status/503"))
    hook_on(bus, target="http://127.0.0.1:1/")
    bus.save()
    method = ("http.request.method", "POST")
    assert watched.readings() == {
        ("doh.events", ("doh.action", "changed"), ("doh.model", "app.vehicle")): 1,
        ("doh.deliveries", ("doh.outcome", "succeeded")): 1,
        ("doh.deliveries", ("doh.outcome", "waiting")): 2,
        ("doh.attempt.duration", method, ("http.response.status_code", 200)): 1,
        (
            "doh.attempt.duration",
            ("error.type", "503"),
            method,
            ("http.response.status_code", 503),
        ): 1,
        ("doh.attempt.duration", ("error.type", "no_answer"), method): 1,
    }


def test_counters_begin_at_nothing_so_that_a_first_burst_is_an_increase(watched):
    outcomes = (*Delivery.Status.values, "deferred")
    assert watched.series() == {
        **{("doh.deliveries", ("doh.outcome", outcome)): 0 for outcome in outcomes},
        ("doh.limits.unavailable",): 0,
    }


def test_what_rolls_back_is_not_counted(watched, bus, hook_on):
    hook_on(bus)
    with transaction.atomic():
        bus.save()
        transaction.set_rollback(True)
    assert watched.readings() == {}


def test_the_trace_of_the_request_reaches_the_receiver(watched, bus, hook_on, receiver):
    hook_on(bus)
    request = save_in_request(watched, bus)
    (span,) = watched.spans("POST")
    assert span.parent.span_id == request.span_id
    assert span.kind is trace.SpanKind.CLIENT
    assert span.attributes["server.address"] == "127.0.0.1"
    assert span.attributes["http.response.status_code"] == 200
    sent = receiver.posts[0].headers["traceparent"]
    assert sent.startswith(f"00-{request.trace_id:032x}-{span.context.span_id:016x}-")


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("", None),
        ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
        # Long entries go first, then the last ones; none of them in part.
        (f"long={'x' * 200},{few(11)}", f"{few(11)}"),
        (few(20), few(11)),
        (",".join(f"k{n}={'x' * 200}" for n in range(9)), None),
    ],
)
def test_what_tracing_systems_say_is_passed_on_at_bounded_length(
    watched, bus, hook_on, receiver, said, sent
):
    hook_on(bus)
    entries = [tuple(entry.split("=")) for entry in said.split(",") if entry]
    caller = trace.SpanContext(1, 2, True, trace.TraceFlags(1), trace.TraceState(entries))
    with trace.use_span(trace.NonRecordingSpan(caller)):
        request = save_in_request(watched, bus)
    assert request.trace_state == caller.trace_state
    assert Event.objects.get().tracestate == sent
    headers = receiver.posts[0].headers
    assert headers["traceparent"].startswith(f"00-{request.trace_id:032x}-")
    assert headers.get("tracestate") == sent


def test_each_attempt_is_a_span_of_its_own_on_the_same_trace(watched, bus, hook_on, receiver):
    hook_on(bus, target=receiver.url("/fail/1/x"))
    request = save_in_request(watched, bus)
    Delivery.objects.update(due_at=get_journal().now())
    call_command("doh_work", once=True, stdout=StringIO())
    first, second = watched.spans("POST")
    assert first.context.trace_id == second.context.trace_id == request.trace_id
    assert first.status.status_code is trace.StatusCode.ERROR
    assert first.attributes["error.type"] == "500"
    assert second.attributes["http.request.resend_count"] == 1


def test_a_span_has_the_kind_of_an_error_and_not_its_words(watched):
    with pytest.raises(RuntimeError), room.telemetry().working("doh.element", ()):
        raise RuntimeError(marks.PAYLOAD)
    (span,) = watched.spans("process doh.element")
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["error.type"] == "RuntimeError"
    assert marks.PAYLOAD not in span.to_json()


def test_an_event_that_nothing_traced_sends_no_trace(watched, bus, hook_on, receiver):
    hook_on(bus)
    bus.save()
    assert "traceparent" not in receiver.posts[0].headers
    assert watched.spans("POST") == []


def test_a_process_without_telemetry_passes_the_trace_on(bus, hook_on, receiver, monkeypatch):
    stored = f"00-{'a' * 32}-{'b' * 16}-01"
    monkeypatch.setattr(room.Telemetry, "trace", lambda _self: Trace(stored, "a=1,b=2"))
    hook_on(bus)
    bus.save()
    assert Event.objects.get().traceparent == stored
    assert receiver.posts[0].headers["traceparent"] == stored
    assert receiver.posts[0].headers["tracestate"] == "a=1,b=2"


def test_without_an_sdk_the_trace_is_passed_on_too(bus, hook_on, receiver, settings, monkeypatch):
    settings.HOOK_TELEMETRY = True
    stored = f"00-{'a' * 32}-{'b' * 16}-01"
    monkeypatch.setattr(OTel, "trace", lambda _self: Trace(stored, "a=1,b=2"))
    hook_on(bus)
    bus.save()
    room.install(None)
    assert receiver.posts[0].headers["traceparent"] == stored
    assert receiver.posts[0].headers["tracestate"] == "a=1,b=2"


def test_a_broken_trace_context_stops_nothing(watched, bus, hook_on, receiver, monkeypatch):
    monkeypatch.setattr(OTel, "trace", lambda _self: Trace("nonsense", "and=more"))
    hook_on(bus)
    bus.save()
    assert len(receiver.posts) == 1
    assert "tracestate" not in receiver.posts[0].headers


def test_callables_of_the_project_send_the_trace_too(watched, bus, hook_on, receiver, settings):
    settings.HOOK_ELEMENT_DELIVERER = "tests.project.signed_element"
    hook_on(bus)
    request = save_in_request(watched, bus)
    assert f"-{request.trace_id:032x}-" in receiver.posts[0].headers["traceparent"]


def test_gauges_tell_what_is_owed_and_for_how_long(bus, hook_on, receiver, settings):
    settings.HOOK_RETRY_SCHEDULE = [0]
    hook_on(bus, target=receiver.url("/status/500"))
    hook_on(bus, target=receiver.url("/status/410"))
    bus.save()
    get_journal().beat()
    watched = Watched()
    observe(watched.meters.get_meter("doh"))
    found = watched.series()
    assert found["doh.dead_letters",] == 1
    assert found["doh.hooks.disabled",] == 1
    assert found["doh.sweep.age",] < 60
    assert found["doh.ledger.events",] == Event.objects.get().pk
    for kind in ("event", "batch", "delivery"):
        assert found["doh.due.age", ("doh.kind", kind)] == 0
        assert found["doh.due.rows", ("doh.kind", kind)] == 0
    assert ("doh.broker.up",) not in found


def test_a_sweep_that_never_was_is_long_ago(db):
    watched = Watched()
    observe(watched.meters.get_meter("doh"))
    assert watched.readings()["doh.sweep.age",] > 1e6


def test_nothing_is_imported_where_telemetry_is_off():
    code = (
        "import sys, django; django.setup();"
        "from doh.telemetry import telemetry; import doh.dispatch, doh_tasks.element;"
        "assert telemetry().trace() is None;"
        "sys.exit(any(name in sys.modules for name in"
        " ('doh.telemetry.otel', 'doh.telemetry.prometheus', 'prometheus_client')))"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 0


def test_a_package_that_is_missing_silences_telemetry_and_stops_no_save(
    bus, hook_on, receiver, settings, monkeypatch
):
    settings.HOOK_TELEMETRY = True
    monkeypatch.setitem(sys.modules, "doh.telemetry.otel", None)
    hook_on(bus)
    bus.save()
    room.install(None)
    assert len(receiver.posts) == 1


def test_limits_that_could_not_be_asked_for_are_counted(watched, settings):
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    assert Store().run("admit.lua", [], {}) is None
    assert watched.readings()[("doh.limits.unavailable",)] == 1
