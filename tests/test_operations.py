"""What docs/operations.md tells an operator to run."""

import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.forms import model_to_dict

from doh.models import Batch, Delivery, Event
from tests.app.models import Vehicle
from tests.workers import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "operations.md").read_text()


def code_below(heading):
    """The first block of Python in a section, and what runs it."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    block = re.search(r"^( *)```python\n(.*?)^ *```", section, re.DOTALL | re.MULTILINE)
    indent, text = block.groups()
    return "\n".join(line.removeprefix(indent) for line in text.splitlines())


def test_after_a_restore_what_was_owed_can_be_cancelled(hook_on, receiver, settings):
    settings.HOOK_COLLECTION_DELIVERER = "tests.project.nothing_now"
    bus = Vehicle.objects.create(name="55")
    hook = hook_on(bus)
    bus.save()
    event = Event.objects.get()
    Delivery.objects.create(
        event=event, hook=hook, status="waiting", due_at=event.due_at, updated_at=event.due_at
    )
    Batch.objects.create(pairs=[[event.pk, [hook.pk]]], due_at=event.occurred_at)
    exec(code_below("Backup and restore"), {})
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks"
    call_command("doh_work", once=True, stdout=StringIO())
    assert receiver.posts == []
    assert Delivery.objects.get().status == "cancelled"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's sequences")
def test_after_a_restore_the_sequence_of_events_goes_on_where_it_is_told_to(hook_on, receiver):
    bus = Vehicle.objects.create(name="55")
    hook_on(bus)
    number = 10_000_000
    statement = re.search(r"`(SELECT setval\(.*?\);)`", PAGE)[1].replace("NUMBER", str(number))
    with connection.cursor() as cursor:
        cursor.execute(statement)
    bus.save()
    assert int(receiver.posts[0].headers["doh-sequence"]) == number + 1


def test_the_body_of_django_rest_hooks_can_be_kept(hook_on, receiver, monkeypatch):
    found = {"model_to_dict": model_to_dict}
    exec(code_below("Moving from django-rest-hooks or django-webhook"), found)
    monkeypatch.setattr(Vehicle, "get_dynamic_payload", found["get_dynamic_payload"], raising=False)
    bus = Vehicle.objects.create(name="55")
    hook_on(bus)
    bus.save()
    body = receiver.posts[0].body
    assert b'"data":{"model":"app.vehicle"' in body
    assert b'"fields":{' in body


def test_every_link_within_the_page_has_its_heading():
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
