"""Build the signed request of one delivery.

Signing follows Standard Webhooks 1.0.0: https://www.standardwebhooks.com/
"""

import hashlib
import hmac
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from secrets import token_bytes
from typing import Final
from urllib.parse import quote, urlsplit

from doh.exceptions import BadTargetError, SecretUnreadableError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES: Final = 32
MAX_TARGET: Final = 2048
_SCHEMES: Final = ("http", "https")
#: What may stand in a header as it is; the rest of an action or a key is percent-encoded.
_HEADER_SAFE: Final = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"


@dataclass(frozen=True, slots=True)
class Message:
    """What is said of an event to every hook: the same at each attempt."""

    uid: str
    event: str
    object_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, ready to be sent."""

    url: str
    host: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def clock() -> int:
    """The time to sign with, in seconds since the epoch."""
    return int(time.time())


def new_secret() -> str:
    """A fresh signing secret: ``whsec_`` and the base64 of 32 random bytes."""
    return SECRET_PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode()


@lru_cache(maxsize=65_536)
def signing_key(secret: str) -> bytes:
    """The bytes that a secret stands for; raises `SecretUnreadableError` if it stands for none."""
    try:
        return b64decode(secret.removeprefix(SECRET_PREFIX))
    except ValueError as error:
        raise SecretUnreadableError(
            f"A hook's secret must be {SECRET_PREFIX!r} and base64: {error}."
        ) from error


def sign(secret: str, uid: str, timestamp: int, body: bytes) -> str:
    """The ``v1`` signature of a body sent under an id at a time (seconds since the epoch)."""
    content = b"%s.%d.%s" % (uid.encode(), timestamp, body)
    digest = hmac.digest(signing_key(secret), content, hashlib.sha256)
    return "v1," + b64encode(digest).decode()


@lru_cache(maxsize=65_536)
def parse_target(url: str) -> str:
    """The host of a target; raises `BadTargetError` saying what is wrong with the URL."""
    if len(url) > MAX_TARGET:
        raise BadTargetError(f"the target is longer than {MAX_TARGET} characters")
    if any(ord(char) <= 32 or ord(char) == 127 for char in url):
        raise BadTargetError("the target has a space or a control character in it")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise BadTargetError(f"the target is no URL: {error}") from error
    if parts.scheme.lower() not in _SCHEMES:
        raise BadTargetError("the target must start with http:// or https://")
    if not host:
        raise BadTargetError("the target names no host")
    return host


def build_request(
    target: str,
    body: str,
    *,
    user_agent: str,
    timestamp: int,
    message: Message | None = None,
    secret: str | None = None,
) -> Request:
    """Build the POST of one body to one target; raises `BadTargetError` for an unusable target.

    Without a message (a direct call of an element deliverer) the POST carries no ``webhook-*``
    headers; without a secret it is not signed.
    """
    host = parse_target(target)
    raw = body.encode()
    headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", user_agent),
        ("Accept-Encoding", "identity"),
    ]
    if message is not None:
        headers += [
            ("webhook-id", message.uid),
            ("webhook-timestamp", str(timestamp)),
            ("Doh-Event", quote(message.event, safe=_HEADER_SAFE)),
            ("Doh-Object", quote(message.object_id, safe=_HEADER_SAFE)),
            ("Doh-Sequence", str(message.sequence)),
        ]
        if secret is not None:
            headers.append(("webhook-signature", sign(secret, message.uid, timestamp, raw)))
    return Request(url=target, host=host, headers=tuple(headers), body=raw)
