"""A receiver that runs by itself: it writes every POST down before it accepts it.

``python listener.py [--host 0.0.0.0] [--port 8000] [--log FILE] [--delay SECONDS]``; each line of
the log is one POST as JSON. ``python -m django tally FILE`` compares it with what the ledger says.
"""

import argparse
import json
import os
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TextIO


class Log:
    """Lines that are on the disk before anybody is told of them; however many wait for it, one
    sync serves them all."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writing, self._syncing = threading.Lock(), threading.Lock()
        self._written = self._synced = 0

    def write(self, post: dict[str, Any]) -> None:
        """Append a POST."""
        with self._writing:
            self._file.write(json.dumps(post) + "\n")
            self._file.flush()
            self._written += 1
            number = self._written
        if self._file is not sys.stdout:
            self._sync(number)

    def _sync(self, number: int) -> None:
        """Return once so many lines are on the disk."""
        with self._syncing:
            written = self._written
            if self._synced < number:
                os.fsync(self._file.fileno())
                self._synced = written


class Server(socketserver.ThreadingTCPServer):
    """One thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512
    log: Log
    delay: float


class Handler(BaseHTTPRequestHandler):
    """Accepts every POST, and answers GET so that a health check has something to ask."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        post = {"path": self.path, "headers": headers, "body": body.decode()}
        self.server.log.write({"from": self.client_address[0], **post})
        time.sleep(self.server.delay)
        self._answer(200)

    def do_GET(self) -> None:
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """The log has it all."""


def main() -> None:
    """Listen until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--log", type=Path, help="where to append; the terminal if not given")
    parser.add_argument("--delay", type=float, default=0, help="seconds until it answers")
    given = parser.parse_args()
    with Server((given.host, given.port), Handler) as server:
        server.log = Log(given.log.open("a") if given.log else sys.stdout)
        server.delay = given.delay
        server.serve_forever()


if __name__ == "__main__":
    main()
