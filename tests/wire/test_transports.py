"""One conformance suite for all that sends: requests, the same over green sockets, libcurl."""

import json
import socket
from urllib.parse import urlencode

from doh.types import Answer
from doh.wire.outcome import judge
from tests.wire.transports import Inline, job_for


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


def test_a_body_larger_than_any_buffer_arrives_whole(post, receiver):
    body = json.dumps("0123456789" * 100_000)
    assert post(receiver.url("/"), body).status_code == 200
    assert receiver.posts[0].body == body.encode()


def test_connections_are_used_again(post, receiver):
    for _ in range(3):
        post(receiver.url("/"))
    assert len({got.port for got in receiver.posts}) == 1


def test_redirects_are_not_followed(post, receiver):
    assert post(receiver.url("/redirect")).status_code == 302
    assert [got.path for got in receiver.posts] == ["/redirect"]


def test_a_date_to_come_back_at_goes_by_the_receivers_clock(make, receiver):
    transport = make()
    transport.watcher = None
    dates = {
        "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "Retry-After": "Thu, 01 Jan 2026 00:05:00 GMT",
    }
    answer = transport.post(job_for(receiver.url(f"/status/503?{urlencode(dates)}")))
    assert judge(answer, "example.com").retry_after == 300


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


def test_what_cannot_be_reached_is_described_without_an_address(post):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/").detail == "the target refused the connection"
    missing = post("http://no-such-host.invalid/")
    assert missing.detail == "the target's host name can't be resolved"


def test_a_response_for_after_deliver_has_the_stored_target(receiver):
    transport = Inline()
    url = receiver.url("").rstrip("/")
    transport.post(job_for(url + "#top"))
    assert transport.response.url == url + "#top"
    transport.close()
