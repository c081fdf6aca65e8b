"""Telemetry in the tasks: traces through the pump, and an endpoint per worker process."""

import re
import subprocess

import pytest
from services import free_port

from doh import conf
from doh.fanout import fan_out
from doh.journal import get_journal
from doh.models import Delivery
from doh_tasks.collection import collect
from doh_tasks.element import deliver_batch
from doh_tasks.pump import stop_pump
from tests.app.models import Vehicle
from tests.tasks.conftest import ELEMENT_TASK, TASK
from tests.test_telemetry import save_in_request, watched  # noqa: F401 - a fixture
from tests.workers import COLLECTION, ELEMENT, delivered, free_ports, management, scrape, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


def test_tasks_are_spans_linked_to_what_they_work_for(watched, bus, hook_on, receiver):  # noqa: F811
    hook_on(bus)
    request = save_in_request(watched, bus)
    journal = get_journal()
    (rings,) = fan_out(journal, journal.claim_events(1, conf.lease()))
    for ring in rings:
        deliver_batch(*ring)
    receiver.wait_for_posts(1)
    stop_pump()
    (batch,) = watched.spans("process doh.element")
    assert [link.context.span_id for link in batch.links] == [request.span_id]
    (post,) = watched.spans("POST")
    assert post.parent.span_id == request.span_id
    sent = receiver.posts[0].headers["traceparent"]
    assert sent.startswith(f"00-{request.trace_id:032x}-{post.context.span_id:016x}-")
    assert watched.readings()["doh.deliveries", ("doh.outcome", "succeeded")] == 1


def test_a_collection_is_linked_to_its_events(watched, bus, hook_on):  # noqa: F811
    hook_on(bus)
    requests = {save_in_request(watched, bus).span_id for _ in range(2)}
    collect()
    (span,) = watched.spans("process doh.collection")
    assert {link.context.span_id for link in span.links} == requests
    assert span.attributes["messaging.destination.name"] == "doh.collection"


@pytest.mark.workers
@pytest.mark.parametrize("pool", [("-c", "2"), ("-P", "threads", "-c", "4")], ids=" ".join)
def test_every_worker_process_and_the_ledger_have_an_endpoint(
    pool, bus, hook_on, receiver, workers
):
    first, ledger = free_ports(2), free_port()
    own = workers(HOOK_METRICS_LISTEN=f"127.0.0.1:{first}")
    own.worker("all", f"{COLLECTION},{ELEMENT}", *pool)
    hook_on(bus)
    for _ in range(4):
        bus.save()
        collect.delay()
    own.until(lambda: Delivery.objects.filter(status="succeeded").count() == 4, "all")
    own.until(lambda: delivered(first) + delivered(first + 1) == 4, "all")
    # A child that had nothing to do may still be at its start.
    own.until(lambda: bool(scrape(first + 1)) == ("threads" not in pool), "all")
    settings = {"HOOK_COLLECTION_DELIVERER": TASK, "HOOK_ELEMENT_DELIVERER": ELEMENT_TASK}
    command = management("doh_metrics", "--listen", f"127.0.0.1:{ledger}", **settings)
    with subprocess.Popen(**command) as process:
        try:
            wait_until(lambda: "doh_due_age_seconds" in scrape(ledger))
            text = scrape(ledger)
        finally:
            process.terminate()
    assert re.search(r'doh_queue_messages\{.*messaging_destination_name="doh.element".*\} 0', text)
    assert re.search(r'doh_circuits\{.*doh_state="open".*\} 0', text)
    assert re.search(r"doh_broker_up\{.*\} 1", text)
