"""The yardstick: the same requests through a bare CurlMulti loop, and nothing else.

No database, no broker, no signing, no retries: what libcurl does from one Python process.
"""

import selectors
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pycurl

from doh.wire.request import Request
from doh_tasks.pump.sockets import Sockets

Prepared = tuple[str, bytes, list[str]]


def prepared(requests: Iterable[Request]) -> Iterator[Prepared]:
    """Requests in the form in which libcurl takes them."""
    return ((one.url, one.body, [*one.lines, "Expect:"]) for one in requests)


#: Up to so many in flight, one call for all of them and select(2) is the quickest way there is.
_FEW = 500


class Bare:
    """One multi handle, driven in whichever way is the quickest.

    ``like_ours``: in the way that goes with thousands of slow receivers, and with a look at each
    line of the headers, which may be endless.
    """

    def __init__(
        self,
        in_flight: int,
        ca_bundle: str | None = None,
        timeout: float = 15,
        *,
        like_ours: bool = False,
    ) -> None:
        self._in_flight = in_flight
        self._ca_bundle = ca_bundle
        self._timeout = timeout
        self._like_ours = like_ours
        self._selector = selectors.DefaultSelector()
        self._sockets = Sockets(self._selector)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, max(_FEW, in_flight))
        self._turn = self._turn_few
        if in_flight > _FEW or like_ours:
            self._turn = self._turn_many
            self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.on_change)

    def run(self, requests: Iterable[Prepared], enough: int) -> float:
        """POST them all; returns the seconds that it took, until ``enough`` of them were over."""
        handles = [self._handle() for _ in range(self._in_flight)]
        idle = handles.copy()
        start = time.perf_counter()
        todo = iter(requests)
        left = enough
        while left > 0:
            while idle and (one := next(todo, None)) is not None:
                self._start(idle.pop(), one)
            self._turn()
            for handle in self._ended():
                idle.append(handle)
                left -= 1
        taken = time.perf_counter() - start
        for handle in handles:
            handle.close()  # Also of those that nobody waits for any longer.
        return taken

    def close(self) -> None:
        """Let go of the connections."""
        self._multi.close()
        self._selector.close()

    def _handle(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.TIMEOUT_MS, int(self._timeout * 1000))
        handle.setopt(pycurl.WRITEFUNCTION, lambda chunk: None)
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        if self._like_ours:
            handle.setopt(pycurl.HEADERFUNCTION, lambda line: None)
        if self._ca_bundle:
            handle.setopt(pycurl.CAINFO, self._ca_bundle)
        return handle

    def _open(self, _purpose: int, address: Any) -> socket.socket:
        self._sockets.forget()
        return socket.socket(address.family, address.socktype, address.protocol)

    def _start(self, handle: pycurl.Curl, request: Prepared) -> None:
        url, body, headers = request
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.setopt(pycurl.HTTPHEADER, headers)
        self._multi.add_handle(handle)

    def _turn_few(self) -> None:
        self._multi.select(0.05)
        self._multi.perform()

    def _turn_many(self) -> None:
        soon = self._multi.timeout()
        for key, mask in self._selector.select(1.0 if soon < 0 else min(1.0, soon / 1000)):
            if self._sockets.is_wanted(key.fd):
                self._multi.socket_action(key.fd, mask)
        if self._multi.timeout() == 0:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _ended(self) -> Iterable[pycurl.Curl]:
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in [*good, *(one[0] for one in bad)]:
                self._multi.remove_handle(handle)
                yield handle
