"""One conformance suite for all that sends: requests, the same over green sockets, libcurl."""

import queue
import socket
import ssl
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import trustme

from doh.context import CurrentHook
from doh.deliverers.eventlet import _green_dial, _green_ssl_context
from doh.dispatch import Job
from doh.journal import Owed
from doh.types import Answer, Failure
from doh.wire.guard import any_address
from doh.wire.request import Message, parse_target
from doh.wire.requests_transport import RequestsTransport, TransportOptions
from doh.wire.signing import Keyring
from doh_tasks.pump.loop import Loop
from doh_tasks.pump.transfer import Limits
from tests import hostile

CONNECT, TOTAL = 0.5, 1.0


class Inline:
    """The requests transport."""

    def __init__(self, policy, ca_bundle, **options):
        self._transport = RequestsTransport(
            TransportOptions(CONNECT, TOTAL, ca_bundle, policy, **options)
        )

    def post(self, job):
        reply, self.response = self._transport.post(job.request())
        return reply

    def close(self):
        self._transport.close()


class Green(Inline):
    """The same over eventlet's sockets."""

    def __init__(self, policy, ca_bundle):
        super().__init__(
            policy, ca_bundle, dial=_green_dial, ssl_context=_green_ssl_context(ca_bundle)
        )


class Curl:
    """The pump's loop."""

    def __init__(self, policy, ca_bundle):
        self._replies = queue.SimpleQueue()
        self._loop = Loop(Limits(CONNECT, TOTAL, ca_bundle, policy), 50, self)

    def landed(self, flight, job, reply):
        self._replies.put(reply)

    def cut(self, flight, left):
        self._replies.put(Failure("cut"))

    def post(self, job):
        from collections import deque

        flight = SimpleNamespace(
            jobs=deque([job]),
            watcher=object,
            lost=False,
            lease=SimpleNamespace(starts_until=float("inf")),
        )
        self._loop.launch(flight)
        return self._replies.get(timeout=30)

    def close(self):
        self._loop.stop()


@pytest.fixture(params=[Inline, Green, Curl])
def make(request):
    """Makes a transport of each kind."""
    made = []

    def make(policy=any_address, ca_bundle=None):
        made.append(request.param(policy, ca_bundle))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def post(make):
    """Posts to a URL over each transport."""
    transport = make()

    def post(target, body="{}"):
        return transport.post(job_for(target, body))

    post.transport = transport
    return post


def job_for(target, body="{}"):
    hook = CurrentHook(1, Keyring("whsec_" + "A" * 44), Message("evt_1", "a.b.c", "55", 7))
    return Job(Owed(1, 1), target, hook, body, parse_target(target), None)


def test_an_answer_comes_back_whole(post, receiver):
    answer = post(receiver.url("/status/201?X-Greeting=hello"), '{"a":1}')
    assert isinstance(answer, Answer)
    assert (answer.status_code, answer.reason, answer.body) == (201, "Created", b"thanks")
    assert ("X-Greeting", "hello") in answer.headers
    assert answer.elapsed > 0
    (got,) = receiver.posts
    assert got.body == b'{"a":1}'
    assert got.headers["content-length"] == "7"
    assert "expect" not in got.headers
    assert got.headers["accept-encoding"] == "identity"


def test_connections_are_used_again(post, receiver):
    for _ in range(3):
        post(receiver.url("/"))
    assert len({got.port for got in receiver.posts}) == 1


def test_redirects_are_not_followed(post, receiver):
    assert post(receiver.url("/redirect")).status_code == 302
    assert [got.path for got in receiver.posts] == ["/redirect"]


def test_cookies_are_not_kept(post, receiver):
    post(receiver.url("/?Set-Cookie=a%3Db"))
    post(receiver.url("/"))
    assert all("cookie" not in got.headers for got in receiver.posts)


def test_nothing_is_taken_from_the_environment(make, receiver, monkeypatch, tmp_path):
    proxy = "http://127.0.0.1:1"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
        monkeypatch.setenv(name.lower(), proxy)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert make().post(job_for(receiver.url("/"))).status_code == 200
    assert "authorization" not in receiver.posts[0].headers


def test_a_body_in_any_language_arrives(post, receiver):
    post(receiver.url("/"), '"né"')
    assert receiver.posts[0].body == '"né"'.encode()


@pytest.mark.parametrize("act", [hostile.silent, hostile.drips_headers, hostile.drips_body])
def test_an_answer_that_never_ends_is_cut_off(act, post):
    with hostile.hostile(act) as url:
        assert post(url).detail == "no complete answer within 1 s"


@pytest.mark.parametrize("act", [hostile.endless_continue, hostile.absurd_length])
def test_a_peer_that_keeps_talking_is_cut_off(act, post):
    with hostile.hostile(act) as url:
        assert isinstance(post(url), Failure)


@pytest.mark.parametrize("act", [hostile.huge_body, hostile.gzip_bomb])
def test_of_a_large_body_the_beginning_is_read_as_it_is(act, post):
    with hostile.hostile(act) as url:
        answer = post(url)
    assert answer.status_code == 200
    assert len(answer.body) == 16_384
    assert answer.body[:2] in (b"xx", b"\x1f\x8b")


@pytest.mark.parametrize("act", [hostile.resets, hostile.nonsense])
def test_a_broken_answer_is_a_failure_with_a_reason(act, post):
    with hostile.hostile(act) as url:
        assert post(url).detail == "the connection to the target failed"


def test_what_cannot_be_reached_is_described_without_an_address(post):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/").detail == "the target refused the connection"
    missing = post("http://no-such-host.invalid/")
    assert missing.detail == "the target's host name can't be resolved"


def test_a_name_is_dialled_at_the_address_that_was_judged(make, receiver):
    judged = []
    transport = make(policy=lambda host: judged.append(host) or host == "127.0.0.1")
    url = receiver.url("/").replace("127.0.0.1", "localhost")
    reply = transport.post(job_for(url))
    if "::1" in judged:
        assert reply.detail == "the target's address is not allowed"
    else:
        assert reply.status_code == 200
    assert judged


def test_an_address_that_the_policy_refuses_is_never_dialled(make, receiver):
    transport = make(policy=lambda host: False)
    assert (
        transport.post(job_for(receiver.url("/"))).detail == "the target's address is not allowed"
    )
    assert receiver.posts == []


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return SimpleNamespace(ca=made, path=str(path))


def context_for(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def test_a_certificate_of_a_trusted_authority_is_accepted(make, authority):
    context = context_for(authority.ca.issue_cert("127.0.0.1"))
    with hostile.hostile(hostile.answers_tls, context) as url:
        answer = make(ca_bundle=authority.path).post(job_for(url))
    assert (answer.status_code, answer.body) == (200, b"ok")


@pytest.mark.parametrize("fault", ["name", "authority", "expired"])
def test_a_certificate_with_a_fault_is_refused(fault, make, authority):
    ca = trustme.CA() if fault == "authority" else authority.ca
    name = "127.0.0.2" if fault == "name" else "127.0.0.1"
    expires = datetime.now(UTC) - timedelta(days=1) if fault == "expired" else None
    context = context_for(ca.issue_cert(name, not_after=expires))
    with hostile.hostile(hostile.answers_tls, context) as url:
        reply = make(ca_bundle=authority.path).post(job_for(url))
    assert reply.detail == "the target's TLS certificate is not valid"


def test_a_handshake_that_stalls_ends(make):
    with hostile.hostile(hostile.silent) as url:
        reply = make().post(job_for(url.replace("http:", "https:")))
    assert isinstance(reply, Failure)


def test_a_response_for_after_deliver_has_the_stored_target(receiver):
    transport = Inline(any_address, None)
    url = receiver.url("").rstrip("/")
    transport.post(job_for(url))
    assert transport.response.url == url
    transport.close()
