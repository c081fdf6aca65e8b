"""Build the signed request of one delivery."""

import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from doh.types import Trace
from doh.wire.headers import Headers
from doh.wire.signing import Keyring
from doh.wire.target import Target, parse_target

#: What may stand in a header as it is; the rest of an action or a key is percent-encoded.
_HEADER_SAFE: Final = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"
_FIXED: Final = (("Content-Type", "application/json"), ("Accept-Encoding", "identity"))


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
    headers: Headers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.headers = (
            ("webhook-id", self.uid),
            ("Doh-Event", quote(self.event, safe=_HEADER_SAFE)),
            ("Doh-Object", quote(self.object_id, safe=_HEADER_SAFE)),
            ("Doh-Sequence", str(self.sequence)),
        )


@dataclass(slots=True, eq=False)
class Request:
    """One POST, ready to be sent; ``stored`` is the target as the project knows it."""

    target: Target = field(repr=False)
    stored: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

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
    headers = [*_FIXED, *custom]
    if not (custom and any(name.lower() == "user-agent" for name, _ in custom)):
        headers.append(("User-Agent", user_agent))
    if message is not None:
        headers += [*message.headers, ("webhook-timestamp", str(timestamp))]
        if keyring is not None:
            headers.append(("webhook-signature", keyring.signatures(message.uid, timestamp, raw)))
        headers += _traced(trace or message.trace)
    if keyring is not None and hub_signature:
        hub = keyring.hub_signature(raw)
        headers += [] if hub is None else [("X-Hub-Signature-256", hub)]
    return Request(place or parse_target(target), target, tuple(headers), raw)


def _traced(trace: Trace | None) -> Headers:
    if trace is None:
        return ()
    parent = ("traceparent", trace.parent)
    return (parent, ("tracestate", trace.state)) if trace.state else (parent,)
