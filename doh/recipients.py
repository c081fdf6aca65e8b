"""What a batch needs to know of its hooks, read in one query."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from doh.fields import Keys, decrypt, read_headers, stored
from doh.journal import Journal, Owed
from doh.models import Hook
from doh.wire.headers import Headers, check_headers
from doh.wire.signing import Keyring


@dataclass(frozen=True, slots=True)
class Recipient:
    """A hook as its row says; what is encrypted is opened when it is asked for."""

    id: int
    user_id: Any
    target: str = field(repr=False)
    token: str = field(repr=False)
    old_token: str | None = field(repr=False)
    sealed_headers: str | None = field(repr=False)
    expires_at: datetime | None
    disabled_at: datetime | None
    rate: str
    retry_schedule: object

    def keyring(self, keys: Keys) -> Keyring:
        """What the hook signs with; raises `SecretUnreadableError`."""
        old = None if self.old_token is None else decrypt(self.old_token, keys)
        keyring = Keyring.of(decrypt(self.token, keys), old)
        keyring.check()
        return keyring

    def headers(self) -> Headers:
        """The hook's own headers, checked again: not every way to write a row checks them.

        Raises `SecretUnreadableError`, `BadHeadersError`.
        """
        return check_headers(read_headers(self.sealed_headers)) if self.sealed_headers else ()


def read_recipients(journal: Journal, owed: Iterable[Owed]) -> dict[int, Recipient]:
    """The hooks of some pairs, by their keys; those that are gone are left out."""
    ids = {one.hook_id for one in owed}
    # The tokens as stored: one secret that can't be read must not stop its neighbours.
    rows = Hook.objects.using(journal.alias).filter(pk__in=ids)
    columns = rows.values_list(
        "id",
        "user_id",
        "target",
        stored("secret"),
        stored("old_secrets"),
        stored("headers"),
        "expires_at",
        "disabled_at",
        "rate_limit",
        "retry_schedule",
    )
    return {row[0]: Recipient(*row) for row in columns}
