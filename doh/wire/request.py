"""Build the signed request of one delivery."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from doh.types import Trace
from doh.wire.headers import Headers
from doh.wire.signing import Keyring
from doh.wire.target import Target, parse_target

#: What may stand in a header as it is; the rest of an action or a key is percent-encoded.
_HEADER_SAFE: Final = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"
_FIXED: Final = ("Content-Type: application/json", "Accept-Encoding: identity")


@dataclass(slots=True, eq=False)
class Message:
    """What is said of an event to every hook: the same at each attempt."""

    uid: str
    event: str
    object_id: str
    sequence: int
    #: W3C trace context of what caused it.
    trace: Trace | None = None
    #: What the headers say of it: the same for each of its hooks, so it is said once.
    lines: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.lines = (
            f"webhook-id: {self.uid}",
            f"Doh-Event: {quote(self.event, safe=_HEADER_SAFE)}",
            f"Doh-Object: {quote(self.object_id, safe=_HEADER_SAFE)}",
            f"Doh-Sequence: {self.sequence}",
        )


@dataclass(slots=True, eq=False)
class Request:
    """One POST, ready to be sent; ``stored`` is the target as the project knows it.

    ``lines`` are its headers as they go over the wire, ``name: value``.
    """

    target: Target = field(repr=False)
    stored: str = field(repr=False)
    lines: Sequence[str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def headers(self) -> Headers:
        """Names and values."""
        pairs = (line.partition(": ") for line in self.lines)
        return tuple((name, value) for name, _, value in pairs)

    @property
    def url(self) -> str:
        """What is posted to."""
        return self.target.url

    @property
    def host(self) -> str:
        """The host of the URL."""
        return self.target.host


def clock(drift: float = 0.0) -> int:
    """The time to sign with, in seconds since the epoch; this machine's is so many behind."""
    return int(time.time() + drift)


def build_request(
    target: str,
    body: str,
    *,
    user_agent: str,
    timestamp: int,
    place: Target | None = None,
    message: Message | None = None,
    keyring: Keyring | None = None,
    hub_signature: bool = False,
    trace: Trace | None = None,
    custom: Headers = (),
) -> Request:
    """Build the POST of one body to one target; raises `BadTargetError` for an unusable target.

    Without a message (a direct call of an element deliverer) the POST carries no ``webhook-*``
    headers; without a keyring it is not signed. ``hub_signature`` adds ``X-Hub-Signature-256``.
    ``trace`` stands for the message's own, ``custom`` are the hook's own headers. ``place`` is what
    the target means, for whoever has read it already.
    """
    raw = body.encode()
    lines = [*_FIXED]
    if custom:
        lines += (f"{name}: {value}" for name, value in custom)
    if not (custom and any(name.lower() == "user-agent" for name, _ in custom)):
        lines.append(f"User-Agent: {user_agent}")
    if message is not None:
        lines += (*message.lines, f"webhook-timestamp: {timestamp}")
        if keyring is not None:
            signatures = keyring.signatures(message.uid, timestamp, raw)
            lines.append(f"webhook-signature: {signatures}")
        lines += _traced(trace or message.trace)
    if keyring is not None and hub_signature:
        hub = keyring.hub_signature(raw)
        lines += [] if hub is None else [f"X-Hub-Signature-256: {hub}"]
    return Request(place or parse_target(target), target, lines, raw)


def _traced(trace: Trace | None) -> Sequence[str]:
    if trace is None:
        return ()
    parent = f"traceparent: {trace.parent}"
    return (parent, f"tracestate: {trace.state}") if trace.state else (parent,)
