"""What a batch needs to know of its hooks, read in one query."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from doh.fields import Keys, decrypt, read_headers
from doh.journal import Journal, Owed
from doh.types import KEPT_HOOKS
from doh.wire.headers import Headers, check_headers
from doh.wire.signing import Keyring
from doh.wire.target import Target, parse_target


class Opened(NamedTuple):
    """What the sealed and the written of a hook's row stand for."""

    place: Target
    keyring: Keyring
    headers: Headers

    def __repr__(self) -> str:
        return "<Opened>"


#: Where a row holds what is opened: from its target to its headers.
_SEALED: Final = slice(2, 6)
#: What rows were opened to. All of it goes when there is too much: one by one, an event to a
#: million hooks would leave holes all over the memory.
_opened: dict[tuple[Any, Keys], Opened] = {}


class Recipient(NamedTuple):
    """A hook as its row says; what takes time is `opened` when it is asked for."""

    id: int
    user_id: Any
    target: str
    token: str
    old_token: str | None
    sealed_headers: str | None
    expires_at: datetime | None
    disabled_at: datetime | None
    rate: str
    retry_schedule: object
    owner_is_active: bool | None

    def __repr__(self) -> str:
        return f"<Recipient {self.id}>"

    def opened(self, keys: Keys) -> Opened:
        """Where it is sent to, what it signs with, and its own headers, which are checked again.

        Not every way to write a row checks it. Raises `BadTargetError`, `SecretUnreadableError`,
        `BadHeadersError`.
        """
        # A worker opens the same rows over and over: 25 microseconds each if it were not kept.
        found = _opened.get((self[_SEALED], keys))
        if found is None:
            found = _open(self, keys)
            if len(_opened) >= KEPT_HOOKS:
                _opened.clear()
            _opened[self[_SEALED], keys] = found
        return found


def read_recipients(journal: Journal, owed: Iterable[Owed]) -> dict[int, Recipient]:
    """The hooks of some pairs, by their keys; those that are gone are left out."""
    rows = journal.read_hooks({one.hook_id for one in owed})
    return {row[0]: Recipient(*row) for row in rows}


def _open(row: Recipient, keys: Keys) -> Opened:
    place = parse_target(row.target)
    old = None if row.old_token is None else decrypt(row.old_token, keys)
    keyring = Keyring.of(decrypt(row.token, keys), old)
    keyring.check()
    sealed = row.sealed_headers
    headers = check_headers(read_headers(sealed, keys)) if sealed else ()
    return Opened(place, keyring, headers)
