"""What a batch needs to know of its hooks, read in one query."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from doh.fields import Keys, decrypt, read_headers
from doh.journal import Journal, Owed
from doh.types import KEPT_HOOKS
from doh.wire.headers import Headers, check_headers
from doh.wire.signing import Keyring

#: Keyrings by what they were opened from. All go when there are too many: one by one, an event to
#: a million hooks would leave holes all over the memory.
_opened: dict[tuple[str, str | None, Keys], Keyring] = {}


class Recipient(NamedTuple):
    """A hook as its row says; what is encrypted is opened when it is asked for."""

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

    def keyring(self, keys: Keys) -> Keyring:
        """What the hook signs with; raises `SecretUnreadableError`."""
        return _keyring(self.token, self.old_token, keys)

    def headers(self, keys: Keys) -> Headers:
        """The hook's own headers, checked again: not every way to write a row checks them.

        Raises `SecretUnreadableError`, `BadHeadersError`.
        """
        return _headers(self.sealed_headers, keys) if self.sealed_headers else ()


def read_recipients(journal: Journal, owed: Iterable[Owed]) -> dict[int, Recipient]:
    """The hooks of some pairs, by their keys; those that are gone are left out."""
    rows = journal.read_hooks({one.hook_id for one in owed})
    return {row[0]: Recipient(*row) for row in rows}


def _keyring(token: str, old_token: str | None, keys: Keys) -> Keyring:
    # A worker opens the same secrets over and over: 20 microseconds each if they were not kept.
    sealed = (token, old_token, keys)
    keyring = _opened.get(sealed)
    if keyring is None:
        if len(_opened) >= KEPT_HOOKS:
            _opened.clear()
        keyring = _opened[sealed] = _open(*sealed)
    return keyring


def _open(token: str, old_token: str | None, keys: Keys) -> Keyring:
    old = None if old_token is None else decrypt(old_token, keys)
    keyring = Keyring.of(decrypt(token, keys), old)
    keyring.check()
    return keyring


@lru_cache(maxsize=KEPT_HOOKS)
def _headers(token: str, keys: Keys) -> Headers:
    return check_headers(read_headers(token, keys))
