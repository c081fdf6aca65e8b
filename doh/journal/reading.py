"""What a batch needs of its hooks and events, as tuples: there is one for each POST."""

from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import BooleanField, Value

from doh.fields import stored
from doh.journal.among import among
from doh.journal.ledger import Ledger
from doh.journal.records import EventRow
from doh.models import Event, Hook

#: What is read of a hook before it is sent to. What is encrypted stays so: one secret that can't
#: be read must not stop its neighbours.
HOOK_COLUMNS: Final = (
    "id",
    "user_id",
    "target",
    "secret",
    "old_secrets",
    "headers",
    "expires_at",
    "disabled_at",
    "rate_limit",
    "retry_schedule",
)


class ReadLedger(Ledger):
    """The part of the journal that reads what is to be sent."""

    def read_hooks(self, ids: Iterable[int]) -> Iterable[tuple[Any, ...]]:
        """The rows of hooks, in the order of `HOOK_COLUMNS`; those that are gone are left out.

        At the end of each row stands whether its owner may log in; None if the user model keeps no
        column of that.
        """
        names = (stored(name) if name in Hook.ENCRYPTED else name for name in HOOK_COLUMNS)
        unknown = Value(None, output_field=BooleanField(null=True))
        flag = unknown if active_column() is None else "user__is_active"
        return Hook.objects.using(self.alias).filter(among(ids)).values_list(*names, flag)

    def read_events(self, ids: Iterable[int]) -> dict[int, EventRow]:
        """What is sent of some events, by their keys; those that are gone are left out."""
        rows = Event.objects.using(self.alias).filter(among(ids))
        return {row[0]: EventRow._make(row) for row in rows.values_list(*EventRow._fields)}


def active_column() -> str | None:
    """The user model's column that says who may log in, if its own table has one."""
    columns = get_user_model()._meta.local_concrete_fields
    return next((one.column for one in columns if one.name == "is_active"), None)
