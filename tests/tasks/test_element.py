"""The task that delivers a batch, run here with a pump of this process."""

import gc

import pytest
from django.db import connection

from doh import conf
from doh.fanout import fan_out
from doh.journal import get_journal
from doh.models import Batch, Delivery, Event
from doh_tasks import element
from doh_tasks.pump import stop_pump
from tests.app.models import Vehicle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]


@pytest.fixture
def deliver(hook_on, receiver):
    """Runs the task for one event that hooks of these paths are owed; returns its doorbell."""

    def run(*paths):
        bus = Vehicle.objects.create(name="55")
        for path in paths:
            hook_on(bus, target=receiver.url(path))
        bus.save()
        ((ring,),) = fan_out(get_journal(), get_journal().claim_events(1, conf.lease()))
        element.deliver_batch(*ring)
        return ring

    return run


@pytest.fixture
def _no_teapots(transactional_db):
    """The ledger refuses to keep one status."""
    change = "ALTER TABLE doh_delivery {} CONSTRAINT no_teapots"
    with connection.cursor() as cursor:
        cursor.execute(f"{change.format('ADD')} CHECK (status_code <> 418)")
    yield
    with connection.cursor() as cursor:
        cursor.execute(change.format("DROP"))


@pytest.mark.usefixtures("_no_teapots")
def test_an_outcome_that_cannot_be_written_is_a_dead_letter_and_takes_no_neighbour_along(
    deliver, receiver
):
    deliver("/ok", "/status/418", "/status/410")
    receiver.wait_for_posts(3)
    stop_pump()
    rows = Delivery.objects.order_by("hook_id").values_list("status", flat=True)
    assert list(rows) == ["succeeded", "dead", "cancelled"]
    assert "could not be written" in Delivery.objects.dead().get().detail
    assert (Batch.objects.count(), Event.objects.get().pending) == (0, 0)


@pytest.fixture
def _quoting_ledger(transactional_db):
    """The ledger refuses every outcome, and quotes it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused: %', NEW USING DETAIL = NEW::text; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON doh_delivery"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION refuse CASCADE")


@pytest.mark.usefixtures("_quoting_ledger")
def test_what_a_ledger_quotes_of_an_outcome_is_not_in_the_log(deliver, receiver, caplog):
    ring = deliver("/status/500")
    receiver.wait_for_posts(1)
    stop_pump()
    assert f"Batch {ring.batch_id} could not be written: " in caplog.text
    assert "(P0001)" in caplog.text
    assert "500 Internal Server Error" not in caplog.text


def test_a_task_goes_on_while_the_receivers_of_a_small_batch_take_their_time(
    deliver, receiver, settings, monkeypatch
):
    """However slow they are, a worker is as quick with many small batches as with a full one."""
    monkeypatch.setattr(element, "PATIENCE", 10.0)
    settings.HOOK_TOTAL_TIMEOUT = 5
    deliver("/hold/it")
    receiver.wait_for_posts(1)
    assert not Delivery.objects.exists()
    receiver.release()
    stop_pump()
    assert Delivery.objects.get().status == "succeeded"


@pytest.fixture
def _usual_garbage_collection():
    usual = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700)
    yield
    gc.set_threshold(*usual)


@pytest.mark.usefixtures("_usual_garbage_collection")
def test_a_worker_seldom_looks_for_garbage_and_not_among_what_it_has_loaded(deliver, receiver):
    deliver("/ok")
    receiver.wait_for_posts(1)
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] > 10_000
