"""Both journals, and a small ledger to try them on."""

import pytest
from django.db import connection

from doh.journal import Journal, get_journal
from doh.journal.postgres import functions
from doh.models import Event, Hook, content_type_of
from doh.payloads import EMPTY
from tests.app.models import Vehicle
from tests.journal.invariant import assert_owned_once
from tests.journal.steps import fan_out


def journal_kinds() -> list[str]:
    """The portable journal, and the one that the database has of its own."""
    return ["orm", "native", "without functions"] if connection.vendor == "postgresql" else ["orm"]


def write_event(**fields) -> Event:
    """An event of vehicle 1, due now."""
    newest = Hook.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    fields = {
        "content_type": content_type_of(Vehicle),
        "label": "app.vehicle",
        "object_id": "1",
        "action": "changed",
        "using": "default",
        "deliverer": "doh.deliverers.base.HooksDeliverer",
        "payload": EMPTY,
        "hooks_until": newest,
        "due_at": Journal("default").now(),
        **fields,
    }
    return Event.objects.create(**fields)


@pytest.fixture(params=journal_kinds())
def journal(request, transactional_db, monkeypatch):
    """Each kind of journal; what a test leaves in its tables keeps the invariant."""
    if request.param == "without functions":
        monkeypatch.setattr(functions, "_find_usable", lambda alias: frozenset())
    functions.forget()
    yield Journal("default") if request.param == "orm" else get_journal()
    functions.forget()
    assert_owned_once()


@pytest.fixture
def owner(django_user_model, transactional_db):
    return django_user_model.objects.create(username="ada")


@pytest.fixture
def make_hooks(owner):
    """Create hooks on vehicle 1."""

    def make(number, **fields):
        fields = {"object_id": "1", "target": "http://127.0.0.1/", **fields}
        kind = content_type_of(Vehicle)
        known = set(Hook.objects.values_list("pk", flat=True))
        Hook.objects.bulk_create(
            Hook(user=owner, content_type=kind, **fields) for _ in range(number)
        )
        # Not every database says which keys it gave.
        return list(Hook.objects.exclude(pk__in=known).order_by("pk").values_list("pk", flat=True))

    return make


@pytest.fixture
def make_event(transactional_db):
    return write_event


@pytest.fixture
def batch(journal, make_event, make_hooks):
    """The doorbell of a batch of three pairs."""
    make_hooks(3)
    make_event(result_hook=True)
    (ring,) = fan_out(journal)
    return ring
