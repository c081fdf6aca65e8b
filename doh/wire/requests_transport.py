"""Send one request with a pooled ``requests`` session: the transport of the inline deliverers."""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPResponse, RemoteDisconnected
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    NameResolutionError,
    ProxyError,
)

from doh.exceptions import AddressRefusedError
from doh.types import Answer, Failure
from doh.wire.deadline import watchdog, watched
from doh.wire.guard import INTERNET, REFUSED, Address, Policy, numeric
from doh.wire.lookups import Found, lookups
from doh.wire.request import Request

#: Bytes of an answer's body that are read; the rest is not worth a worker's memory.
BODY_LIMIT: Final = 16_384
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
        if options.policy.proxy is not None:
            self._session.proxies = {"http": options.policy.proxy, "https": options.policy.proxy}
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(options))

    def post(self, request: Request) -> tuple[Answer | Failure, requests.Response | None]:
        """Send one request; returns the reply, and the response object where one came whole.

        Never raises: whatever one target brings about must not reach its neighbours.
        """
        refusal = self._options.policy.refusal(request.target)
        if refusal is not None:
            return Failure(refusal, blocked=True), None
        started = time.monotonic()
        with watchdog.watching(self._options.total_timeout) as watch:
            try:
                with _discreetly():
                    response = self._send(request)
            except Exception as error:  # noqa: BLE001
                return self._failure(error, watch.expired, time.monotonic() - started), None
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
        # As it was judged and as libcurl sends it, not as requests would write it.
        prepared.url = request.url
        response = self._session.send(
            prepared,
            stream=True,
            allow_redirects=False,
            timeout=(self._options.connect_timeout, self._options.total_timeout),
        )
        response.url = request.stored
        response._content = _beginning(response.raw)
        response._content_consumed = True  # type: ignore[attr-defined]
        return response

    def _failure(self, error: BaseException, late: bool, elapsed: float) -> Failure:
        if late:
            return Failure(self._late(), elapsed)
        causes = _causes(error)
        if any(isinstance(cause, AddressRefusedError) for cause in causes):
            return Failure(REFUSED, elapsed, blocked=True)
        return Failure(self._describe(causes), elapsed)

    def _late(self) -> str:
        return f"no complete answer within {self._options.total_timeout:g} s"

    def _describe(self, causes: list[BaseException]) -> str:
        """The error in words for the hook's owner, who learns nothing about our network."""
        for known, text in (
            (NameResolutionError, "the target's host name can't be resolved"),
            ((socket.gaierror, UnicodeError), "the target's host name can't be resolved"),
            (ssl.SSLCertVerificationError, "the target's TLS certificate is not valid"),
            (ssl.SSLError, "the TLS handshake with the target failed"),
            (
                (requests.ConnectTimeout, ConnectTimeoutError),
                f"no connection within {self._options.connect_timeout:g} s",
            ),
            ((requests.ReadTimeout, TimeoutError), self._late()),
            (ProxyError, "the proxy did not let the connection through"),
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

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _pools(self._options)
        return manager


class _Lines:
    """Reads the lines of an answer's head, and remembers whether an empty one ended it."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.ended = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._source.readline(limit)
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


def _pools(options: TransportOptions) -> dict[str, type[HTTPConnectionPool]]:
    """The pool classes whose connections dial through the guard."""

    class Plain(HTTPConnection):
        response_class = _WholeResponse

        def _new_conn(self) -> socket.socket:
            return _open_guarded(self, options)

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is not None:
                watched(self.sock)
            super().request(*args, **kwargs)

    class Secure(HTTPSConnection):
        response_class = _WholeResponse

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
