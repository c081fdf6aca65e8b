"""Connections of ``requests`` that ask the guard for every address that they dial."""

import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse, RemoteDisconnected
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError

from doh.exceptions import AddressRefusedError
from doh.types import HEADER_LIMIT
from doh.wire.deadline import watched
from doh.wire.guard import INTERNET, REFUSED, Address, Policy, numeric
from doh.wire.lookups import Found, lookups

_POOLED_HOSTS: Final = 64
_POOLED_CONNECTIONS: Final = 32

#: Opens a TCP connection to a numeric address: (address, timeout in seconds).
Dial = Callable[[Address, float | None], socket.socket]
#: Waits for a look-up so many seconds; raises TimeoutError after that.
Wait = Callable[[Future[Found], float], Found]


def dial(
    address: Address, timeout: float | None, kind: type[socket.socket] = socket.socket
) -> socket.socket:
    """Open a TCP connection over a socket of some kind: a plain blocking one, or eventlet's."""
    sock = kind(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address.host, address.port))
    except BaseException:
        sock.close()
        raise
    return sock


def wait(asked: "Future[Found]", seconds: float) -> Found:
    """Wait for a look-up in a plain thread."""
    return asked.result(seconds)


@dataclass(frozen=True)
class TransportOptions:
    """How the transport connects; timeouts are in seconds."""

    connect_timeout: float
    total_timeout: float
    ca_bundle: str | None = None
    policy: Policy = INTERNET
    dial: Dial = dial
    wait: Wait = wait
    ssl_context: ssl.SSLContext | None = None


class Adapter(HTTPAdapter):
    """Opens connections that ask the guard for every address that they dial."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        super().__init__(
            pool_connections=_POOLED_HOSTS, pool_maxsize=_POOLED_CONNECTIONS, max_retries=0
        )

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._options.ssl_context is not None:
            kwargs["ssl_context"] = self._options.ssl_context
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._options)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _pools(self._options)
        return manager


class _Lines:
    """Reads the lines of an answer's head, and remembers whether an empty one ended it.

    http.client takes a hundred headers of 64 KB each; a head that is larger than `HEADER_LIMIT`,
    interim answers included, is none here.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._left = HEADER_LIMIT
        self.ended = False

    def readline(self, limit: int) -> bytes:
        line: bytes = self._source.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise RemoteDisconnected("the headers are too long")
        self.ended = line in (b"\r\n", b"\n")
        return line

    def close(self) -> None:
        self._source.close()


class _WholeResponse(HTTPResponse):
    """A response whose head came whole: http.client takes a lost connection for the end of it."""

    def begin(self) -> None:
        source: Any = self.fp
        lines: Any = _Lines(source)
        self.fp = lines
        try:
            super().begin()
        finally:
            if self.fp is lines:
                self.fp = source
        # Of headers that can't be read urllib3 would write a log record, and the URL into it.
        if not lines.ended or self.msg.defects or self.msg.get_payload():
            raise RemoteDisconnected("the headers are not whole")

    def _read_status(self) -> tuple[str, int, str]:
        """The status; every interim answer is skipped, where http.client knows only the first."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        is_interim = 100 <= status < 200 and status != HTTPStatus.SWITCHING_PROTOCOLS
        return version, HTTPStatus.CONTINUE if is_interim else status, reason


def _pools(options: TransportOptions) -> dict[str, type[HTTPConnectionPool]]:
    """The pool classes whose connections dial through the guard."""

    class Guarded(HTTPConnection):
        response_class = _WholeResponse

        def _new_conn(self) -> socket.socket:
            return _open_guarded(self, options)

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is not None:
                watched(self.sock)
            super().request(*args, **kwargs)

    class GuardedTls(Guarded, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Guarded

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = GuardedTls

    return {"http": PlainPool, "https": SecurePool}


def _open_guarded(connection: HTTPConnection, options: TransportOptions) -> socket.socket:
    """Resolve once, have every answer judged, and dial one address after the other.

    The look-up and however many addresses it finds share one connect timeout.
    """
    end = time.monotonic() + min(options.connect_timeout, options.total_timeout)
    failure: OSError = TimeoutError()
    for address in _addresses(connection, options):
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            sock = options.dial(address, left)
        except OSError as error:
            failure = error
        else:
            _check_peer(sock, options.policy)
            watched(sock)
            return sock
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "connect timed out") from failure
    raise failure


def _addresses(connection: HTTPConnection, options: TransportOptions) -> Found:
    """The addresses of the connection's host, all of them judged."""
    host, port = connection.host, connection.port or 80
    literal = numeric(host, port)
    patience = min(options.connect_timeout, options.total_timeout)
    try:
        found = options.wait(lookups().ask(host, port), patience) if literal is None else (literal,)
    except (OSError, UnicodeError) as error:
        failed = socket.gaierror(socket.EAI_AGAIN, str(error))
        raise NameResolutionError(host, connection, failed) from error
    # The proxy is the operator's choice, and it is all that is dialled then.
    return found if options.policy.proxy is not None else options.policy.judge(found)


def _check_peer(sock: socket.socket, policy: Policy) -> None:
    """Look once more, at who is really at the other end."""
    if policy.proxy is None and not policy.allows(str(sock.getpeername()[0])):
        sock.close()
        raise AddressRefusedError(REFUSED)
