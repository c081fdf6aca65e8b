"""Through a proxy: everything goes to it, and the guard judges what the URL itself says."""

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from doh.wire.guard import Policy
from tests.wire.transports import LOOPBACK, job_for


class Proxy:
    """Takes whatever it is asked for to one receiver, and keeps what that was."""

    def __init__(self, receiver):
        self.asked = []
        self._receiver = receiver.url("")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self):
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(sock,), daemon=True).start()

    def _relay(self, client):
        host, port = self._receiver.removeprefix("http://").split(":")
        with suppress(OSError), client, socket.create_connection((host, int(port))) as server:
            head = client.recv(65536)
            self.asked.append(head.split(b"\r\n")[0].decode())
            if head.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                method, _, rest = head.partition(b" ")
                path = rest.partition(b"://")[2].partition(b"/")[2]
                server.sendall(method + b" /" + path)
            thread = threading.Thread(target=_pass_on, args=(client, server), daemon=True)
            thread.start()
            _pass_on(server, client)


def _pass_on(source, drain):
    with suppress(OSError):
        while piece := source.recv(65536):
            drain.sendall(piece)
        drain.shutdown(socket.SHUT_WR)


@contextmanager
def proxied(receiver, policy=Policy()):  # noqa: B008 - frozen
    proxy = Proxy(receiver)
    try:
        yield proxy, replace(policy, proxy=proxy.url)
    finally:
        proxy.close()


def test_a_post_goes_through_the_proxy(make, receiver, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with proxied(receiver) as (proxy, policy):
        answer = make(policy=policy).post(job_for("http://nowhere.example/x"))
    assert answer.status_code == 200
    assert proxy.asked[0].startswith("POST http://nowhere.example/x ")
    assert receiver.posts[0].headers["host"] == "nowhere.example"


def test_tls_goes_through_a_tunnel(make, receiver):
    with proxied(receiver) as (proxy, policy):
        reply = make(policy=policy).post(job_for("https://nowhere.example/x"))
    assert reply.detail == "the TLS handshake with the target failed"
    (asked,) = proxy.asked
    assert asked.startswith("CONNECT nowhere.example:443 ")


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1/", "https://[::1]/", "http://10.0.0.1/", "http://a.example:22/"]
)
def test_what_the_url_itself_gives_away_is_refused(target, make, receiver):
    with proxied(receiver) as (proxy, policy):
        assert make(policy=policy).post(job_for(target)).blocked
    assert proxy.asked == []


def test_what_is_opened_is_reached_through_the_proxy_too(make, receiver):
    with proxied(receiver, LOOPBACK) as (proxy, policy):
        assert make(policy=policy).post(job_for("http://127.0.0.1/")).status_code == 200
    assert len(proxy.asked) == 1


def test_a_proxy_that_is_away_is_a_failure(make, receiver):
    with proxied(receiver) as (_, policy):
        pass
    reply = make(policy=policy).post(job_for("http://nowhere.example/"))
    assert (reply.blocked, "nowhere" in reply.detail) == (False, False)
