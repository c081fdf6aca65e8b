"""One POST over libcurl: set a handle up, and read what became of it."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import certifi
import pycurl

from doh.types import Answer, Failure
from doh.wire.guard import Address, Policy
from doh.wire.request import Request

#: Bytes of an answer's body that are kept; reading ends there.
BODY_LIMIT: Final = 16_384
#: Bytes of headers that are kept for ``after_deliver``.
HEADER_LIMIT: Final = 65_536

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


class Sink:
    """Takes an answer in, up to a limit; headers only where somebody asks for them."""

    __slots__ = ("body", "full", "headers")

    def __init__(self) -> None:
        self.body = bytearray()
        self.headers = bytearray()
        self.full = False

    def write(self, chunk: bytes) -> int:
        """Keep a piece of the body; past the limit, say no, which ends the transfer."""
        room = BODY_LIMIT - len(self.body)
        self.body += chunk[:room]
        if len(chunk) > room:
            self.full = True
            return 0
        return len(chunk)

    def header(self, line: bytes) -> int:
        """Keep one header line; a new status line begins a new answer."""
        if line.startswith(b"HTTP/"):
            self.headers.clear()
        if len(self.headers) < HEADER_LIMIT:
            self.headers += line
        return len(line)


def new_handle(limits: Limits) -> pycurl.Curl:
    """A handle with everything set that is the same for every POST."""
    handle = pycurl.Curl()
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.POST, 1),
        (pycurl.CONNECTTIMEOUT_MS, int(limits.connect_timeout * 1000)),
        (pycurl.TIMEOUT_MS, int(limits.total_timeout * 1000)),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        # Nothing from the environment: no proxy, no .netrc, no cookies between targets.
        (pycurl.PROXY, ""),
        (pycurl.NOPROXY, "*"),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.CAINFO, limits.ca_bundle or certifi.where()),
        (pycurl.OPENSOCKETFUNCTION, _opener(limits.policy)),
    ):
        handle.setopt(option, value)
    return handle


def set_up(handle: pycurl.Curl, request: Request, addresses: Sequence[Address], keep: bool) -> Sink:
    """Make a handle ready for one request to addresses that the guard has seen.

    ``keep`` tells whether somebody looks at the answer's headers.
    """
    sink = Sink()
    handle.setopt(pycurl.URL, request.url)
    handle.setopt(pycurl.POSTFIELDS, request.body)
    headers = [f"{name}: {value}" for name, value in request.headers]
    handle.setopt(pycurl.HTTPHEADER, [*headers, "Expect:"])
    handle.setopt(pycurl.RESOLVE, _pinned(request.host, addresses))
    handle.setopt(pycurl.WRITEFUNCTION, sink.write)
    handle.setopt(pycurl.HEADERFUNCTION, sink.header if keep else _ignore)
    return sink


def read_answer(handle: pycurl.Curl, sink: Sink) -> Answer:
    """The answer of a transfer that ended well; Retry-After stands as seconds."""
    headers = _parse_headers(bytes(sink.headers))
    wait = handle.getinfo(pycurl.RETRY_AFTER)
    if wait and not any(name.lower() == "retry-after" for name, _ in headers):
        headers += (("retry-after", str(wait)),)
    return Answer(
        status_code=int(handle.getinfo(pycurl.RESPONSE_CODE)),
        reason=_reason(bytes(sink.headers)),
        headers=headers,
        body=bytes(sink.body),
        elapsed=float(handle.getinfo(pycurl.TOTAL_TIME)),
    )


def read_failure(handle: pycurl.Curl, code: int, limits: Limits) -> Failure:
    """Why a transfer failed, in words that tell its owner nothing about our network."""
    elapsed = float(handle.getinfo(pycurl.TOTAL_TIME))
    if code == pycurl.E_OPERATION_TIMEDOUT:
        connected = handle.getinfo(pycurl.PRETRANSFER_TIME) > 0
        if connected or elapsed >= limits.total_timeout:
            return Failure(f"no complete answer within {limits.total_timeout:g} s", elapsed)
        return Failure(f"no connection within {limits.connect_timeout:g} s", elapsed)
    return Failure(_DETAILS.get(code, "the connection to the target failed"), elapsed)


class _Lent(socket.socket):
    """A socket of which libcurl takes a duplicate; this one closes when it is let go."""

    def __del__(self) -> None:
        self.close()


def _opener(policy: Policy) -> Any:
    """Open sockets only to addresses that the policy allows: the second check, at the socket."""

    def open_socket(_purpose: int, address: Any) -> Any:
        if not policy(address.addr[0]):
            return pycurl.SOCKET_BAD
        return _Lent(address.family, address.socktype, address.protocol)

    return open_socket


def _pinned(host: str, addresses: Sequence[Address]) -> list[str]:
    """The addresses in the form of CURLOPT_RESOLVE; a numeric host needs none."""
    if not addresses or addresses[0].host == host:
        return []
    hosts = ",".join(f"[{one.host}]" if ":" in one.host else one.host for one in addresses)
    return [f"+{host}:{addresses[0].port}:{hosts}"]


def _ignore(_line: bytes) -> None:
    """Nobody looks at the headers; libcurl has counted them."""


def _parse_headers(raw: bytes) -> tuple[tuple[str, str], ...]:
    lines = raw.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def _reason(raw: bytes) -> str:
    status_line = raw.split(b"\r\n", 1)[0].decode("latin-1")
    return status_line.split(" ", 2)[2] if status_line.count(" ") >= 2 else ""
