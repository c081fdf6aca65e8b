"""Secrets of hooks, and the signatures made with them.

Two schemes of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com/): ``v1`` is HMAC-SHA256
with a secret that both sides hold (``whsec_``); ``v1a`` is ed25519, whose private key (``whsk_``)
never leaves us and whose public key (``whpk_``) is all that a receiver needs.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from secrets import token_bytes
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from doh.exceptions import SecretUnreadableError
from doh.types import KEPT_HOOKS, Secret

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
PRIVATE_PREFIX: Final = "whsk_"
PUBLIC_PREFIX: Final = "whpk_"
SECRET_BYTES: Final = 32
#: Seconds that a secret goes on signing after it was replaced.
GRACE: Final = 86_400
#: Old secrets that sign at most: each makes the header longer.
OLD_SECRETS: Final = 8
_SEED_BYTES: Final = 32
_SHA256: Final = SHA256()


class Scheme(StrEnum):
    """How a hook's messages are signed."""

    HMAC = "v1"
    ED25519 = "v1a"


def new_secret(scheme: str = Scheme.HMAC) -> str:
    """A fresh secret: ``whsec_`` and 32 random bytes, or ``whsk_`` and an ed25519 key."""
    if Scheme(scheme) is Scheme.HMAC:
        return Secret(SECRET_PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode())
    seed = token_bytes(_SEED_BYTES)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    # Seed and public key together, as NaCl and the other libraries write a private key.
    return Secret(PRIVATE_PREFIX + b64encode(seed + public).decode())


def scheme_of(secret: str) -> Scheme:
    """The scheme that a secret is for."""
    return Scheme.ED25519 if secret.startswith(PRIVATE_PREFIX) else Scheme.HMAC


def signing_key(secret: str) -> bytes:
    """The bytes that a secret stands for; raises `SecretUnreadableError` if it stands for none."""
    prefix = PRIVATE_PREFIX if secret.startswith(PRIVATE_PREFIX) else SECRET_PREFIX
    try:
        key = b64decode(secret.removeprefix(prefix))
    except ValueError as error:
        raise SecretUnreadableError(
            f"A hook's secret must be {prefix!r} and base64: {error}."
        ) from error
    if prefix == PRIVATE_PREFIX and len(key) not in (_SEED_BYTES, 2 * _SEED_BYTES):
        raise SecretUnreadableError(
            f"A hook's private key must be {prefix!r} and the base64 of 32 or 64 bytes."
        )
    return key


def public_key(secret: str) -> str | None:
    """What a receiver verifies ``v1a`` signatures with (``whpk_…``); None for a shared secret."""
    if scheme_of(secret) is Scheme.HMAC:
        return None
    return PUBLIC_PREFIX + b64encode(_private_key(secret).public_key().public_bytes_raw()).decode()


def signed_content(uid: str, timestamp: int | str, body: bytes) -> bytes:
    """What a signature is over: id, seconds since the epoch, body."""
    return f"{uid}.{timestamp}.".encode() + body


def sign(secret: str, uid: str, timestamp: int, body: bytes) -> str:
    """The signature of a body sent under an id at a time (seconds since the epoch)."""
    content = signed_content(uid, timestamp, body)
    if secret.startswith(PRIVATE_PREFIX):
        return "v1a," + b64encode(_private_key(secret).sign(content)).decode()
    return "v1," + b64encode(_hmac(signing_key(secret), content)).decode()


def is_signed(public: bytes, signature: bytes, content: bytes) -> bool:
    """Whether a ``v1a`` signature is one of the holder of a public key (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, content)
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Keyring:
    """What a hook signs with: its secret, and those that it replaced, each with its end.

    Times are seconds since the epoch. An empty secret stands for one that is lost.
    """

    secret: str = field(repr=False)
    old: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, secret: str, old: str | None) -> "Keyring":
        """The keyring of a hook from its columns; ``old`` as `dump_old` gives it."""
        return cls(secret, _load_old(old) if old else ())

    def check(self) -> None:
        """Raise `SecretUnreadableError` if one of the secrets can't be signed with."""
        for secret in (self.secret, *(text for text, _ in self.old)):
            signing_key(secret)

    def signatures(self, uid: str, timestamp: int, body: bytes) -> str:
        """The header's value: the newest secret's signature first, separated by spaces."""
        if not self.old:
            return sign(self.secret, uid, timestamp, body)
        return " ".join(
            sign(secret, uid, timestamp, body) for secret in self._signing_at(timestamp)
        )

    def hub_signature(self, body: bytes) -> str | None:
        """The value of ``X-Hub-Signature-256``: the secret's text is the key, as GitHub has it.

        None for ed25519, whose private key no receiver holds.
        """
        if scheme_of(self.secret) is Scheme.ED25519:
            return None
        return "sha256=" + _hmac(self.secret.encode(), body).hex()

    def replaced(self, secret: str, now: int, grace: int) -> "Keyring":
        """The keyring with another secret; no old one signs for longer than ``grace`` seconds."""
        until = now + grace
        kept = ((self.secret, until), *((text, min(end, until)) for text, end in self.old))
        old = tuple((text, end) for text, end in kept if text and end > now)
        return Keyring(secret, old[:OLD_SECRETS])

    def dump_old(self) -> str | None:
        """The old secrets as text for the database; None if there are none."""
        return json.dumps(self.old) if self.old else None

    def _signing_at(self, timestamp: int) -> Iterator[str]:
        yield self.secret
        for secret, until in self.old:
            if timestamp < until:
                yield secret


def _hmac(key: bytes, content: bytes) -> bytes:
    # hashlib's takes twice as long: it looks its functions up by name each time.
    made = HMAC(key, _SHA256)
    made.update(content)
    return made.finalize()


@lru_cache(maxsize=KEPT_HOOKS)
def _private_key(secret: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(signing_key(secret)[:_SEED_BYTES])


@lru_cache(maxsize=4_096)
def _load_old(text: str) -> tuple[tuple[str, int], ...]:
    try:
        return tuple((Secret(secret), int(until)) for secret, until in json.loads(text))
    except (ValueError, TypeError) as error:
        raise SecretUnreadableError("A hook's old secrets can't be read: rotate again.") from error
