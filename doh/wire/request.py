"""Build the signed request of one delivery."""

import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

from doh.exceptions import BadTargetError
from doh.wire.signing import Keyring

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
    #: W3C trace context of what caused it.
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, ready to be sent."""

    url: str = field(repr=False)
    host: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


def clock(drift: float = 0.0) -> int:
    """The time to sign with, in seconds since the epoch; this machine's is so many behind."""
    return int(time.time() + drift)


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
        # The error's own words may quote a password.
        raise BadTargetError("the target is no URL: its host or port can't be read") from error
    if parts.scheme.lower() not in _SCHEMES:
        raise BadTargetError("the target must start with http:// or https://")
    if not host:
        raise BadTargetError("the target names no host")
    return host


@lru_cache(maxsize=65_536)
def endpoint_of(url: str) -> str:
    """The server of a target: its host, with the port where that is not the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    usual = 443 if parts.scheme.lower() == "https" else 80
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def build_request(
    target: str,
    body: str,
    *,
    user_agent: str,
    timestamp: int,
    message: Message | None = None,
    keyring: Keyring | None = None,
    hub_signature: bool = False,
    traceparent: str | None = None,
) -> Request:
    """Build the POST of one body to one target; raises `BadTargetError` for an unusable target.

    Without a message (a direct call of an element deliverer) the POST carries no ``webhook-*``
    headers; without a keyring it is not signed. ``hub_signature`` adds ``X-Hub-Signature-256``.
    ``traceparent`` stands for the message's own.
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
        if keyring is not None:
            headers.append(("webhook-signature", keyring.signatures(message.uid, timestamp, raw)))
        trace = traceparent or message.traceparent
        if trace is not None:
            headers.append(("traceparent", trace))
    if keyring is not None and hub_signature:
        hub = keyring.hub_signature(raw)
        headers += [] if hub is None else [("X-Hub-Signature-256", hub)]
    return Request(url=target, host=host, headers=tuple(headers), body=raw)
