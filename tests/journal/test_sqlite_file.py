"""SQLite has no row locks: several connections to one file must share its ledger all the same."""

import threading

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from doh import again
from doh.journal import Journal
from doh.models import Batch, Delivery, Event, Hook, content_type_of
from tests.app.models import Vehicle
from tests.journal.steps import LEASE, settled, together

FILE = "file"


@pytest.fixture(scope="module")
def _migrated(tmp_path_factory, django_db_setup, django_db_blocker):
    """A database of its own, in a file and in WAL mode, as a project would run it."""
    path = tmp_path_factory.mktemp("sqlite") / "ledger.sqlite3"
    known = connections.settings
    connections.settings = connections.configure_settings(
        {
            **known,
            FILE: {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(path),
                "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=wal"},
            },
        }
    )
    with django_db_blocker.unblock():
        call_command("migrate", database=FILE, verbosity=0)
        yield
        connections[FILE].close()
    connections.settings = known


@pytest.fixture
def ledger(_migrated, django_db_blocker, monkeypatch):
    """The journal of the file, with eight hooks on vehicle 1; empty again afterwards."""
    # Four that write at once to one file on a slow disk: none is to give up.
    monkeypatch.setattr(again, "PATIENCE", 60.0)
    with django_db_blocker.unblock():
        owner = get_user_model().objects.using(FILE).create(username="ada")
        kind = content_type_of(Vehicle, FILE)
        for _ in range(8):
            Hook.objects.using(FILE).create(
                user=owner, content_type=kind, object_id="1", target="http://a/"
            )
        yield Journal(FILE)
        for model in (Delivery, Batch, Event, Hook):
            model.objects.using(FILE).all().delete()
        owner.delete()


def record(number):
    """Events of vehicle 1, due now."""
    for _ in range(number):
        Event.objects.using(FILE).create(
            content_type=content_type_of(Vehicle, FILE),
            label="app.vehicle",
            object_id="1",
            action="changed",
            using=FILE,
            payload="{}",
            hooks_until=10**9,
            due_at=timezone.now(),
        )


def collect(journal):
    """Fan every due event out, as one of several collectors; returns the doorbells."""
    rings = []
    while claims := journal.claim_events(3, LEASE):
        pairs = journal.match(claims, 100)
        found, _ = journal.commit_slice(
            claims, pairs, 100, batch_size=4, lease=LEASE, queue_lease=600
        )
        rings += found
    return rings


def test_collectors_share_events_and_workers_share_batches(ledger):
    record(12)
    rings = [ring for found in together(*[lambda: collect(ledger)] * 4) for ring in found]
    assert len(rings) == len(set(rings)) == 24
    delivered = []
    lock = threading.Lock()

    def work():
        for ring in rings:
            claim = ledger.claim_batch(ring, LEASE)
            if claim is not None:
                ledger.flush(claim.ring, [settled(one) for one in claim.owed], done=True)
                with lock:
                    delivered.extend(one.pair for one in claim.owed)

    assert together(*[work] * 4) == [None] * 4
    assert len(delivered) == len(set(delivered)) == 12 * 8
    assert Delivery.objects.using(FILE).count() == 12 * 8
    assert not Event.objects.using(FILE).filter(finished_at=None).exists()


def test_two_sweeps_ring_for_a_batch_once(ledger):
    record(5)
    collect(ledger)
    Batch.objects.using(FILE).update(due_at=timezone.now())
    found = together(*[lambda: ledger.overdue_batches(100, 600)] * 3)
    rings = [ring.batch_id for rings in found for ring in rings]
    assert len(rings) == len(set(rings)) == 10
