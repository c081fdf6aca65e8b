"""One POST over libcurl: set a handle up, and read what became of it."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import certifi
import pycurl

from doh.types import BODY_LIMIT, HEADER_LIMIT, Answer, Failure
from doh.wire.guard import REFUSED, Address, Policy
from doh.wire.request import Request

#: What headers end with.
_ENDS: Final = (b"\n\r\n", b"\n\n")
#: Not a header: it keeps libcurl from asking before it sends a large body.
_NO_EXPECT: Final = "Expect:"
_UPLOAD_BUFFER: Final = 16_384
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


class Line:
    """A handle of libcurl and what takes its answers in; it carries one POST after the other.

    What is the same for all of them is set once.
    """

    __slots__ = ("_limits", "body", "full", "handle", "headers", "opening", "policy", "refused")

    def __init__(self, limits: Limits, opening: Callable[[], None]) -> None:
        self.policy = limits.policy
        #: Told that libcurl is about to get a new socket.
        self.opening = opening
        self._forget()
        self.handle = _new_handle(limits)
        self.handle.setopt(pycurl.OPENSOCKETFUNCTION, self.open_socket)
        self.handle.setopt(pycurl.WRITEFUNCTION, self.write)
        self.handle.setopt(pycurl.HEADERFUNCTION, self.header)
        self._limit(limits)

    def load(self, request: Request, addresses: Sequence[Address], limits: Limits) -> None:
        """Make ready for one request to addresses that the guard has seen."""
        self._forget()
        if limits is not self._limits:
            self._limit(limits)
        place, set_option = request.target, self.handle.setopt
        set_option(pycurl.URL, place.url)
        set_option(pycurl.POSTFIELDS, request.body)
        set_option(pycurl.HTTPHEADER, [*request.lines, _NO_EXPECT])
        # Each time, though they be the same: libcurl takes them for one request only.
        set_option(pycurl.RESOLVE, _pinned(place.host, addresses))
        # The first handshake with a host tells whether the others can share its connection
        # (HTTP/2). Without TLS only its first answer would, and nobody is to wait for that.
        set_option(pycurl.PIPEWAIT, place.scheme == "https")

    def open_socket(self, _purpose: int, address: Any) -> Any:
        """A socket, if its address is allowed: the second check, just before it is dialled."""
        self.opening()
        if self.policy.proxy is None and not self.policy.allows(str(address.addr[0])):
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

    def header(self, line: bytes) -> int | None:
        """Keep a line of the headers, interim answers included; None is as good as its length.

        libcurl would keep 300 KB.
        """
        self.headers += line
        return None if len(self.headers) <= HEADER_LIMIT else 0

    @property
    def last_headers(self) -> bytes:
        """Those of the last answer, and its trailers: what came before were interim ones."""
        return bytes(self.headers[self.headers.rfind(b"\nHTTP/") + 1 :])

    def _forget(self) -> None:
        self.body = bytearray()
        self.headers = bytearray()
        self.full = False
        #: The address that libcurl wanted to dial is not allowed.
        self.refused = False

    def _limit(self, limits: Limits) -> None:
        self._limits = limits
        self.handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(limits.connect_timeout * 1000))
        self.handle.setopt(pycurl.TIMEOUT_MS, int(limits.total_timeout * 1000))


def _new_handle(limits: Limits) -> pycurl.Curl:
    handle = pycurl.Curl()
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.POST, 1),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        # What was judged is what is sent, dots in the path too.
        (pycurl.PATH_AS_IS, 1),
        # What a POST takes while it is in the air: the usual size is four times as much, and the
        # body of a webhook fits in the least there may be.
        (pycurl.UPLOAD_BUFFERSIZE, _UPLOAD_BUFFER),
        # Nothing from the environment: no proxy, no .netrc, no cookies between targets.
        (pycurl.PROXY, limits.policy.proxy or ""),
        (pycurl.NOPROXY, "" if limits.policy.proxy else "*"),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.CAINFO, limits.ca_bundle or certifi.where()),
    ):
        handle.setopt(option, value)
    return handle


def read_answer(line: Line, *, whole: bool) -> Answer | Failure:
    """The answer of a transfer that ended well; without ``whole``, its headers if they matter."""
    handle = line.handle
    elapsed = handle.getinfo(pycurl.TOTAL_TIME)
    if not (line.headers.endswith(_ENDS) or any(end in line.last_headers for end in _ENDS)):
        # libcurl takes a connection that closes amid the headers for an end.
        return Failure(_BROKEN, elapsed)
    status = handle.getinfo(pycurl.RESPONSE_CODE)
    if status < 400 and not whole:
        return Answer(status, "", (), b"", elapsed)
    reason, headers = _parse_headers(line.last_headers)
    return Answer(status, reason, headers, bytes(line.body), elapsed)


def read_failure(line: Line, code: int, limits: Limits) -> Failure:
    """Why a transfer failed, in words that tell its owner nothing about our network."""
    handle = line.handle
    elapsed = float(handle.getinfo(pycurl.TOTAL_TIME))
    if line.refused:
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


def _parse_headers(raw: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Reason and headers of an answer."""
    lines = raw.decode("latin-1").split("\n")
    _version, _, rest = lines[0].strip().partition(" ")
    pairs = (line.partition(":") for line in lines[1:] if ":" in line)
    return rest.partition(" ")[2], tuple((name.strip(), value.strip()) for name, _, value in pairs)
