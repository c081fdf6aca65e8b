"""The migrations, over a ledger of the first release that owes something."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from doh.models import Attempt, Delivery, Event, Hook, content_type_of
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = [("doh", "0001_initial")]


def migrate(targets=None):
    """Bring the tables to some migrations, or to the newest; returns the models of then."""
    executor = MigrationExecutor(connection)
    newest = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "doh"]
    return executor.migrate(targets or newest).apps


@pytest.fixture
def first_release(transactional_db):
    yield migrate(FIRST)
    migrate()


def owe(models, user, target):
    """One event that is due, and a retry of an earlier one."""
    hook = models.get_model("doh", "Hook").objects.create(
        user_id=user.pk, content_type_id=content_type_of(Vehicle).pk, object_id="1",
        target=target, secret=Hook(target=target).secret,
    )  # fmt: skip
    now = timezone.now()
    first, second = (
        models.get_model("doh", "Event").objects.create(
            content_type_id=content_type_of(Vehicle).pk, label="app.vehicle", object_id="1",
            action="changed", using="default", payload='{"a": 1}', hooks_until=hook.pk,
            deliverer="doh.deliverers.base.HooksDeliverer", **state,
        )
        for state in ({"due_at": now}, {"fanned_at": now, "finished_at": now})
    )  # fmt: skip
    waiting = models.get_model("doh", "Delivery").objects.create(
        event_id=second.pk, hook_id=hook.pk, status="waiting", attempts=1, due_at=now,
        updated_at=now,
    )  # fmt: skip
    models.get_model("doh", "Attempt").objects.create(delivery_id=waiting.pk, number=1, at=now)
    return {first.uid, second.uid}


def test_what_the_first_release_owed_is_delivered_by_this_one(first_release, user, receiver):
    owed = owe(first_release, user, receiver.url("/"))
    migrate()
    call_command("doh_work", once=True, stdout=StringIO())
    assert {post.headers["webhook-id"] for post in receiver.posts} == owed
    assert set(Delivery.objects.values_list("status", "attempts")) == {
        ("succeeded", 1),
        ("succeeded", 2),
    }
    assert not Event.objects.filter(finished_at=None).exists()
    assert Attempt.objects.count() == 1
