"""Four local receivers: one healthy, one flaky, one gone, one broken; all verify signatures."""

import socketserver
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

#: Answers a POST by how often its ``webhook-id`` has come.
Behaviour = Callable[[int], int]

BEHAVIOURS: dict[str, Behaviour] = {
    "healthy": lambda times: 200,  # noqa: ARG005
    "flaky": lambda times: 503 if times <= 2 else 200,
    "gone": lambda times: 410,  # noqa: ARG005
    "broken": lambda times: 500,  # noqa: ARG005
}


@dataclass(frozen=True)
class Post:
    """One POST as a receiver saw it."""

    receiver: str
    event: str
    object_id: str
    attempt: int
    status: int
    verified: bool


class Receivers:
    """The four servers on loopback ports; ``seen`` is called for every POST, in any thread."""

    def __init__(self, seen: Callable[[Post], None]) -> None:
        self._seen = seen
        self._lock = threading.Lock()
        self._times: Counter[tuple[str, str]] = Counter()
        self._servers = {name: _server(name, self) for name in BEHAVIOURS}
        self._secrets: dict[str, list[str]] = {name: [] for name in BEHAVIOURS}
        self._stack = ExitStack()
        self.posts: list[Post] = []

    def __enter__(self) -> "Receivers":
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
            self._stack.callback(server.server_close)
            self._stack.callback(server.shutdown)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, name: str) -> str:
        """Where a receiver listens."""
        return f"http://127.0.0.1:{self._servers[name].server_address[1]}/vehicles"

    def trust(self, name: str, secret: str) -> None:
        """Give a receiver the secret of one more hook that points to it."""
        self._secrets[name].append(secret)

    def receive(self, name: str, headers: dict[str, str], body: bytes) -> int:
        """Verify and note a POST; returns the status to answer with."""
        key = (name, headers.get("webhook-id", ""))
        with self._lock:
            self._times[key] += 1
            attempt = self._times[key]
        post = Post(
            receiver=name,
            event=headers.get("doh-event", ""),
            object_id=headers.get("doh-object", ""),
            attempt=attempt,
            status=BEHAVIOURS[name](attempt),
            verified=any(_verifies(secret, headers, body) for secret in self._secrets[name]),
        )
        with self._lock:
            self.posts.append(post)
        self._seen(post)
        return post.status


def _verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except (WebhookVerificationError, ValueError):
        return False
    return True


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def _server(name: str, receivers: Receivers) -> _Server:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            self.send_response(receivers.receive(name, headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet: the view tells."""

    return _Server(("127.0.0.1", 0), Handler)
