"""The ledger's clock, as the database has it and as Django stores it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from doh.clock import DatabaseNow, database_now
from doh.models import Event
from tests.journal.steps import LEASE

MOMENT = timedelta(seconds=30)


@pytest.mark.parametrize("use_tz", [True, False])
def test_what_is_recorded_now_is_due_now_in_any_zone(journal, make_event, settings, use_tz):
    settings.USE_TZ = use_tz
    event = make_event(due_at=DatabaseNow())
    assert abs(database_now(connection) - timezone.now()) < MOMENT
    event.refresh_from_db()
    assert abs(event.due_at - timezone.now()) < MOMENT
    assert [claim.id for claim in journal.claim_events(1, LEASE)] == [event.pk]
    assert Event.objects.get().due_at > timezone.now() + MOMENT
