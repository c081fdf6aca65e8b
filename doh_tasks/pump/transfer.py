"""One POST over libcurl: set a handle up, and read what became of it."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import certifi
import pycurl

from doh.types import Answer, Failure
from doh.wire.guard import REFUSED, Address, Policy
from doh.wire.request import Request

#: Bytes of an answer's body that are kept; reading ends there.
BODY_LIMIT: Final = 16_384
#: Bytes of headers, interim answers included, past which an answer is none (libcurl keeps 300 KB).
HEADER_LIMIT: Final = 32_768

_EMPTY_LINES: Final = (b"\r\n", b"\n")
_BROKEN: Final = "the connection to the target failed"
_REFUSED: Final = "the target refused the connection"
_CERTIFICATE: Final = "the target's TLS certificate is not valid"
_DETAILS: Final = {
    pycurl.E_COULDNT_RESOLVE_HOST: "the target's host name can't be resolved",
    pycurl.E_COULDNT_CONNECT: _REFUSED,
    pycurl.E_PEER_FAILED_VERIFICATION: _CERTIFICATE,
    pycurl.E_SSL_CONNECT_ERROR: "the TLS handshake with the target failed",
    pycurl.E_URL_MALFORMAT: "the target is no URL",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How a transfer connects, and how many one host may have; timeouts are in seconds."""

    connect_timeout: float
    total_timeout: float
    ca_bundle: str | None
    policy: Policy
    per_host: int = 100

    def less(self, seconds: float) -> "Limits":
        """What is left after so many seconds; never nothing, which libcurl takes for no limit."""
        if not seconds:
            return self
        connect, total = self.connect_timeout - seconds, self.total_timeout - seconds
        return replace(self, connect_timeout=max(connect, 0.05), total_timeout=max(total, 0.05))


class Sink:
    """One transfer's end of libcurl: opens its socket, and takes the answer in, up to a limit."""

    __slots__ = ("_policy", "_read", "body", "full", "headed", "headers", "keep_headers", "refused")

    def __init__(self, policy: Policy, *, keep_headers: bool) -> None:
        self._policy = policy
        self._read = 0
        self.body = bytearray()
        self.headers = bytearray()
        self.keep_headers = keep_headers
        self.full = False
        #: The headers came whole. libcurl takes a connection that closes in their midst for an end.
        self.headed = False
        #: The address that libcurl wanted to dial is not allowed.
        self.refused = False

    def open_socket(self, _purpose: int, address: Any) -> Any:
        """A socket, if its address is allowed: the second check, just before it is dialled."""
        if self._policy.proxy is None and not self._policy.allows(str(address.addr[0])):
            self.refused = True
            return pycurl.SOCKET_BAD
        return _Lent(address.family, address.socktype, address.protocol)

    def write(self, chunk: bytes) -> int:
        """Keep a piece of the body; past the limit, say no, which ends the transfer."""
        room = BODY_LIMIT - len(self.body)
        self.body += chunk[:room]
        if len(chunk) > room:
            self.full = True
            return 0
        return len(chunk)

    def header(self, line: bytes) -> int:
        """Take one header line: a status line begins an answer, an empty one ends its headers."""
        if line in _EMPTY_LINES:
            self.headed = True
        elif line.startswith(b"HTTP/"):
            self.headed = False
            self.headers.clear()
        if self.keep_headers:
            self.headers += line
        self._read += len(line)
        return len(line) if self._read <= HEADER_LIMIT else 0


def new_handle(limits: Limits) -> pycurl.Curl:
    """A handle with everything set that is the same for every POST."""
    handle = pycurl.Curl()
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.POST, 1),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        # What was judged is what is sent, dots in the path too.
        (pycurl.PATH_AS_IS, 1),
        # Nothing from the environment: no proxy, no .netrc, no cookies between targets.
        (pycurl.PROXY, limits.policy.proxy or ""),
        (pycurl.NOPROXY, "" if limits.policy.proxy else "*"),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.CAINFO, limits.ca_bundle or certifi.where()),
    ):
        handle.setopt(option, value)
    return handle


def set_up(
    handle: pycurl.Curl,
    request: Request,
    addresses: Sequence[Address],
    sink: Sink,
    limits: Limits,
) -> None:
    """Make a handle ready for one request to addresses that the guard has seen."""
    handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(limits.connect_timeout * 1000))
    handle.setopt(pycurl.TIMEOUT_MS, int(limits.total_timeout * 1000))
    handle.setopt(pycurl.OPENSOCKETFUNCTION, sink.open_socket)
    handle.setopt(pycurl.URL, request.url)
    handle.setopt(pycurl.POSTFIELDS, request.body)
    headers = [f"{name}: {value}" for name, value in request.headers]
    handle.setopt(pycurl.HTTPHEADER, [*headers, "Expect:"])
    handle.setopt(pycurl.RESOLVE, _pinned(request.host, addresses))
    handle.setopt(pycurl.WRITEFUNCTION, sink.write)
    handle.setopt(pycurl.HEADERFUNCTION, sink.header)


def read_answer(handle: pycurl.Curl, sink: Sink) -> Answer | Failure:
    """The answer of a transfer that ended well; Retry-After stands as seconds."""
    if not sink.headed:
        return Failure(_BROKEN, float(handle.getinfo(pycurl.TOTAL_TIME)))
    headers = _parse_headers(bytes(sink.headers)) if sink.headers else ()
    wait = handle.getinfo(pycurl.RETRY_AFTER)
    if wait and not any(name.lower() == "retry-after" for name, _ in headers):
        headers += (("retry-after", str(wait)),)
    return Answer(
        status_code=int(handle.getinfo(pycurl.RESPONSE_CODE)),
        reason=_reason(bytes(sink.headers)) if sink.headers else "",
        headers=headers,
        body=bytes(sink.body),
        elapsed=float(handle.getinfo(pycurl.TOTAL_TIME)),
    )


def read_failure(handle: pycurl.Curl, code: int, sink: Sink, limits: Limits) -> Failure:
    """Why a transfer failed, in words that tell its owner nothing about our network."""
    elapsed = float(handle.getinfo(pycurl.TOTAL_TIME))
    if sink.refused:
        return Failure(REFUSED, elapsed, blocked=True)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        connected = handle.getinfo(pycurl.PRETRANSFER_TIME) > 0
        if connected or elapsed >= limits.total_timeout:
            return Failure(f"no complete answer within {limits.total_timeout:g} s", elapsed)
        return Failure(f"no connection within {limits.connect_timeout:g} s", elapsed)
    return Failure(_DETAILS.get(code, _BROKEN), elapsed)


class _Lent(socket.socket):
    """A socket of which libcurl takes a duplicate; this one closes when it is let go."""

    def __del__(self) -> None:
        self.close()


def _pinned(host: str, addresses: Sequence[Address]) -> list[str]:
    """The addresses in the form of CURLOPT_RESOLVE; a numeric host needs none."""
    if not addresses or addresses[0].host == host:
        return []
    hosts = ",".join(f"[{one.host}]" if ":" in one.host else one.host for one in addresses)
    return [f"+{host}:{addresses[0].port}:{hosts}"]


def _parse_headers(raw: bytes) -> tuple[tuple[str, str], ...]:
    lines = raw.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def _reason(raw: bytes) -> str:
    status_line = raw.split(b"\r\n", 1)[0].decode("latin-1")
    return status_line.split(" ", 2)[2] if status_line.count(" ") >= 2 else ""
