"""Send one request with a pooled ``requests`` session: the transport of the inline deliverers."""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, IncompleteRead, NameResolutionError

from doh.exceptions import AddressRefusedError
from doh.types import Answer, Failure
from doh.wire.deadline import watchdog, watched
from doh.wire.guard import Address, Policy, any_address, resolve
from doh.wire.request import Request

#: Bytes of an answer's body that are read; the rest is not worth a worker's memory.
BODY_LIMIT: Final = 16_384
_POOLED_HOSTS: Final = 64
_POOLED_CONNECTIONS: Final = 32

#: Opens a TCP connection to a numeric address: (address, timeout in seconds).
Dial = Callable[[Address, float | None], socket.socket]


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


@dataclass(frozen=True)
class TransportOptions:
    """How the transport connects; timeouts are in seconds."""

    connect_timeout: float
    total_timeout: float
    ca_bundle: str | None = None
    policy: Policy = any_address
    dial: Dial = dial
    ssl_context: ssl.SSLContext | None = None


#: Loggers that quote a target's path and query.
_TALKATIVE: Final = ("urllib3.connectionpool", "urllib3.connection")

_posting: ContextVar[bool] = ContextVar("doh_posting", default=False)


class _Discretion(logging.Filter):
    """Drops what urllib3 says while we post."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not _posting.get()


_discretion = _Discretion()


@contextmanager
def _discreetly() -> Iterator[None]:
    token = _posting.set(True)
    try:
        yield
    finally:
        _posting.reset(token)


class _Session(requests.Session):
    """A session that takes nothing from the environment, and nothing from one target to another."""

    def __init__(self) -> None:
        super().__init__()
        # No proxies, no .netrc, no CA bundle from the environment; no cookies between targets.
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """None: even unfollowed, a redirect has its whole body read and unpacked by a session."""
        return


class RequestsTransport:
    """POSTs requests one at a time over pooled connections; safe to share between threads."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(_discretion)
        self._session = _Session()
        self._session.verify = options.ca_bundle or True
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(options))

    def post(self, request: Request) -> tuple[Answer | Failure, requests.Response | None]:
        """Send one request; returns the reply, and the response object where one came whole.

        Never raises: whatever one target brings about must not reach its neighbours.
        """
        started = time.monotonic()
        with watchdog.watching(self._options.total_timeout) as watch:
            try:
                with _discreetly():
                    response = self._send(request)
            except Exception as error:  # noqa: BLE001
                detail = self._late() if watch.expired else self._describe(error)
                return Failure(detail, time.monotonic() - started), None
            # The flag comes before the status: a request cut in mid-headers can report 200.
            if watch.expired:
                response.close()
                return Failure(self._late(), time.monotonic() - started), None
        answer = Answer(
            status_code=response.status_code,
            reason=response.reason or "",
            headers=tuple(response.headers.items()),
            body=response.content,
            elapsed=time.monotonic() - started,
        )
        return answer, response

    def close(self) -> None:
        """Close every pooled connection."""
        self._session.close()

    def _send(self, request: Request) -> requests.Response:
        prepared = requests.Request(
            "POST", request.url, headers=dict(request.headers), data=request.body
        ).prepare()
        response = self._session.send(
            prepared,
            stream=True,
            allow_redirects=False,
            timeout=(self._options.connect_timeout, self._options.total_timeout),
        )
        response.url = request.url
        response._content = _beginning(response.raw)
        response._content_consumed = True  # type: ignore[attr-defined]
        return response

    def _late(self) -> str:
        return f"no complete answer within {self._options.total_timeout:g} s"

    def _describe(self, error: BaseException) -> str:
        """The error in words for the hook's owner, who learns nothing about our network."""
        causes = _causes(error)
        for known, text in (
            (AddressRefusedError, "the target's address is not allowed"),
            (NameResolutionError, "the target's host name can't be resolved"),
            ((socket.gaierror, UnicodeError), "the target's host name can't be resolved"),
            (ssl.SSLCertVerificationError, "the target's TLS certificate is not valid"),
            (ssl.SSLError, "the TLS handshake with the target failed"),
            (
                (requests.ConnectTimeout, ConnectTimeoutError),
                f"no connection within {self._options.connect_timeout:g} s",
            ),
            ((requests.ReadTimeout, TimeoutError), self._late()),
            (ConnectionRefusedError, "the target refused the connection"),
        ):
            if any(isinstance(cause, known) for cause in causes):
                return text
        return "the connection to the target failed"


def _beginning(raw: Any) -> bytes:
    """The first bytes of a body, not decoded; its connection is kept only if nothing is left."""
    body: bytes = raw.read(BODY_LIMIT, decode_content=False)
    left = raw.length_remaining
    if left and len(body) < BODY_LIMIT:
        raw.close()
        raise IncompleteRead(len(body), left)
    if left == 0 or not body:
        raw.release_conn()
    else:
        raw.close()
    return body


def _causes(error: BaseException) -> list[BaseException]:
    """An error and everything it was raised from, wrapped ones in ``args`` and ``reason`` too."""
    found: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        item = queue.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            queue += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return found


class _Adapter(HTTPAdapter):
    """Mounts connections that ask the guard for every address that they dial."""

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


def _pools(options: TransportOptions) -> dict[str, type[HTTPConnectionPool]]:
    """The pool classes whose connections dial through the guard."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _open_guarded(self, options)

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is not None:
                watched(self.sock)
            super().request(*args, **kwargs)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _open_guarded(self, options)

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is not None:
                watched(self.sock)
            super().request(*args, **kwargs)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _open_guarded(connection: HTTPConnection, options: TransportOptions) -> socket.socket:
    """Resolve once, have every answer judged, and dial one address after the other.

    However many addresses a name has, they share one connect timeout.
    """
    try:
        found = resolve(connection.host, connection.port or 80, options.policy)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    end = time.monotonic() + options.connect_timeout
    failure: OSError = TimeoutError()
    for address in found:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            sock = options.dial(address, left)
        except OSError as error:
            failure = error
        else:
            watched(sock)
            return sock
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "connect timed out") from failure
    raise failure
