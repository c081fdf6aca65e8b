"""A server that misbehaves on purpose, byte by byte."""

import gzip
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from time import monotonic

import trustme

Act = Callable[[socket.socket, threading.Event], None]
PATIENCE = 30.0


def _take_request(sock: socket.socket) -> None:
    """Read a request whole: bytes left unread would reset the connection instead of closing it."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65536)
        if not piece:
            return
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    while len(body) < length:
        body += sock.recv(65536) or b" " * length


def _drip(sock: socket.socket, stop: threading.Event, text: bytes) -> None:
    for byte in itertools.cycle(text):
        if stop.wait(0.05):
            return
        sock.sendall(bytes([byte]))


def silent(sock, stop):
    stop.wait(PATIENCE)


def drips_headers(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    _drip(sock, stop, b"X-Drip: 1\r\n")


def drips_body(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    _drip(sock, stop, b".")


def endless_continue(sock, stop):
    while not stop.wait(0.01):
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def huge_body(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
    end = monotonic() + PATIENCE
    while monotonic() < end and not stop.is_set():
        sock.sendall(b"x" * 65536)


def absurd_length(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\nshort")
    stop.wait(PATIENCE)


@cache
def _bomb() -> bytes:
    # Once: whoever lights fifty of them would pack all the time, and starve the good receivers.
    return gzip.compress(b"0" * 50_000_000)


def gzip_bomb(sock, stop):
    body = _bomb()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)


def resets(sock, stop):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def closes_in_mid_headers(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def closes_in_mid_body(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def odd_headers(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno colon in it\r\n\r\nok")


def endless_headers(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    end = monotonic() + PATIENCE
    while monotonic() < end and not stop.is_set():
        sock.sendall(b"X-Endless: on and on\r\n" * 1000)


def endless_long_headers(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    end = monotonic() + PATIENCE
    while monotonic() < end and not stop.is_set():
        sock.sendall(b"X-Endless: " + b"x" * 60_000 + b"\r\n")


def large_headers(sock, stop):
    """Whole, and fewer than a hundred, but six megabytes of them."""
    header = b"X-Large: " + b"x" * 60_000 + b"\r\n"
    sock.sendall(b"HTTP/1.1 200 OK\r\n" + header * 98 + b"Content-Length: 0\r\n\r\n")


def early_hints(sock, stop):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    processing = b"HTTP/1.1 102 Processing\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    sock.sendall(hints + processing * 2 + answer)


def endless_hints(sock, stop):
    while not stop.wait(0.01):
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def endless_header_line(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    end = monotonic() + PATIENCE
    while monotonic() < end and not stop.is_set():
        sock.sendall(b"on and on" * 1000)


def endless_chunks(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    end = monotonic() + PATIENCE
    while monotonic() < end and not stop.is_set():
        sock.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def redirects_to_itself(sock, stop):
    host, port = sock.getsockname()[:2]
    head = f"HTTP/1.1 302 Found\r\nLocation: http://{host}:{port}/\r\nContent-Length: 0\r\n\r\n"
    sock.sendall(head.encode())


def nonsense(sock, stop):
    sock.sendall(b"hello?\r\n\r\n")


def certificate(fault: str, authority: trustme.CA) -> ssl.SSLContext:
    """The TLS of a server on 127.0.0.1 whose certificate has a fault."""
    issuer = trustme.CA() if fault == "authority" else authority
    expires = datetime.now(UTC) - timedelta(days=1) if fault == "expired" else None
    shown = issuer.issue_cert("127.0.0.2" if fault == "name" else "127.0.0.1", not_after=expires)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.configure_cert(context)
    return context


@contextmanager
def hostile(act: Act, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve one behaviour on loopback; yields the URL."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=handle, args=(sock,), daemon=True).start()

    def handle(sock: socket.socket) -> None:
        with suppress(OSError), sock:
            if context is None:
                _take_request(sock)
                act(sock, stop)
                return
            with context.wrap_socket(sock, server_side=True) as secure:
                _take_request(secure)
                act(secure, stop)

    threading.Thread(target=serve, daemon=True).start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stop.set()
        listener.close()


def answers_tls(sock, stop):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
