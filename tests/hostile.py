"""A server that misbehaves on purpose, byte by byte."""

import gzip
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

Act = Callable[[socket.socket, threading.Event], None]
PATIENCE = 30.0


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


def gzip_bomb(sock, stop):
    body = gzip.compress(b"0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)


def resets(sock, stop):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def nonsense(sock, stop):
    sock.sendall(b"hello?\r\n\r\n")


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
                sock.recv(65536)
                act(sock, stop)
                return
            with context.wrap_socket(sock, server_side=True) as secure:
                secure.recv(65536)
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
