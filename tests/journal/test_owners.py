"""Whether hooks' owners may log in: read with the hooks."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test.utils import isolate_apps

from doh.journal.reading import active_column
from doh.models import Hook
from doh.recipients import Recipient

pytestmark = pytest.mark.django_db(transaction=True)


def recipients(journal, keys):
    return {row[0]: Recipient(*row) for row in journal.read_hooks(keys)}


def test_a_hook_is_read_with_what_its_owner_may_do(journal, make_hooks):
    active, left = make_hooks(2)
    user = get_user_model().objects.create(username="left", is_active=False)
    Hook.objects.filter(pk=left).update(user=user, retry_schedule=[0, 5])
    found = recipients(journal, [active, left])
    assert found[active].owner_is_active is True
    assert found[left].owner_is_active is False
    assert (found[active].retry_schedule, found[left].retry_schedule) == (None, [0, 5])


def test_where_users_have_no_column_of_it_that_is_not_known(journal, make_hooks, monkeypatch):
    for module in ("doh.journal.reading", "doh.journal.postgres.reading"):
        monkeypatch.setattr(f"{module}.active_column", lambda: None)
    (hook,) = make_hooks(1)
    assert recipients(journal, [hook])[hook].owner_is_active is None


@isolate_apps("tests.app")
def test_a_column_of_a_parents_table_is_none_of_the_user_models(monkeypatch):
    class Rider(User):
        class Meta:
            app_label = "app"

    assert active_column() == "is_active"
    monkeypatch.setattr("doh.journal.reading.get_user_model", lambda: Rider)
    assert active_column() is None
