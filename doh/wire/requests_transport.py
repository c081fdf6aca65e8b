"""Send one request with a pooled ``requests`` session: the transport of the inline deliverers."""

import logging
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    NameResolutionError,
    ProxyError,
)

from doh.exceptions import AddressRefusedError
from doh.types import BODY_LIMIT, Answer, Failure
from doh.wire.connections import Adapter, TransportOptions
from doh.wire.deadline import watchdog
from doh.wire.guard import REFUSED
from doh.wire.request import Request

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
            self._session.mount(scheme, Adapter(options))

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
