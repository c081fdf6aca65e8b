"""A real HTTP/1.1 receiver on loopback: threads, keep-alive, and answers as the path asks for.

``/status/503?retry-after=7`` answers 503 with that header; ``/fail/2/name`` fails twice under that
name and then accepts; ``/hold/name`` waits until the test calls ``release()``; ``/redirect``
points elsewhere; anything else is 200.
"""

import socketserver
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Received:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    port: int


class Receiver:
    """Keeps every POST; wait for them with `wait_for`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self.reset()

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Forget everything."""
        with self._changed:
            self.posts: list[Received] = []
            self.failures: Counter[str] = Counter()
            self.at_once = self.most_at_once = 0
            self.gate = threading.Event()

    def url(self, path: str) -> str:
        """A URL of this server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def when(self, condition: Callable[[], Any], act: Callable[[], None]) -> None:
        """Do something, in another thread, as soon as a condition holds."""

        def wait() -> None:
            with self._changed:
                self._changed.wait_for(condition, 30)
            act()

        threading.Thread(target=wait, daemon=True).start()

    def release(self) -> None:
        """Let the held requests go."""
        self.gate.set()

    def wait_for(self, condition: Callable[["Receiver"], Any], timeout: float = 20) -> None:
        """Wait until a condition on this receiver holds; fails with what came instead."""
        deadline = monotonic() + timeout
        with self._changed:
            while not condition(self):
                left = deadline - monotonic()
                if left <= 0:
                    raise AssertionError(f"not in {timeout:g} s; received: {self.posts}")
                self._changed.wait(left)

    def wait_for_posts(self, number: int, timeout: float = 20) -> list[Received]:
        """Wait until so many POSTs have come; returns them."""
        self.wait_for(lambda receiver: len(receiver.posts) >= number, timeout)
        return self.posts

    def note(self, post: Received) -> None:
        """Called by the handler."""
        with self._changed:
            self.posts.append(post)
            self._changed.notify_all()

    def enter(self, step: int) -> None:
        """Called by the handler: a request began (1) or ended (-1)."""
        with self._changed:
            self.at_once += step
            self.most_at_once = max(self.most_at_once, self.at_once)
            self._changed.notify_all()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512
    receiver: Receiver

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 60

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY

    def do_POST(self) -> None:
        receiver = self.server.receiver
        receiver.enter(1)
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.note(Received(self.path, headers, body, self.client_address[1]))
            self._answer(receiver)
        finally:
            receiver.enter(-1)

    def _answer(self, receiver: Receiver) -> None:
        url = urlsplit(self.path)
        kind, _, rest = url.path.strip("/").partition("/")
        status, headers = 200, dict(parse_qsl(url.query))
        if kind == "status":
            status = int(rest)
        elif kind == "fail":
            times = int(rest.split("/")[0])
            receiver.failures[rest] += 1
            status = 500 if receiver.failures[rest] <= times else 200
        elif kind == "hold":
            receiver.gate.wait(30)
        elif kind == "redirect":
            status, headers = 302, {"Location": receiver.url("/elsewhere")}
        self._send(status, headers, b"thanks")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in ({"Date": self.date_time_string()} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""
