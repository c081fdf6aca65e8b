import pytest

from doh.exceptions import BadTargetError
from doh.wire.target import parse_target
from tests.bad_targets import REFUSED_AT_SAVE


@pytest.mark.parametrize("target", REFUSED_AT_SAVE)
def test_what_parsers_could_disagree_about_is_refused(target):
    with pytest.raises(BadTargetError):
        parse_target(target)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("ftp://example.com/", "must start with http:// or https://"),
        ("http:///path", "names no host: write it as https://example.com/path"),
        ("http://0x7f000001/", "the host is no address"),
        ("http://0x-p/", "the host is no address"),
        ("http://a.0xg/", "the host is no address"),
        ("http://a b/", r"a space or a control character in it: .*\(0x20\)"),
        ("http://a/\n", r"percent-encode it or take it out \(0x0a\)"),
        ("http://a\\b/", "a backslash in it: write %5C in a path"),
        ("http://u:p@a/", "send credentials in a custom header"),
        ("http://a:port/", "port must be a number from 1 to 65535"),
        ("http://127.1/", "four decimal numbers without leading zeros"),
        ("http://[::1", "one pair of brackets"),
        ("http://[fe80::1%25eth0]/", "an address with a zone: write it without %"),
        ("http://a%2eb/", "write it without percent-encoding"),
        ("http://a_b/", "letters, digits and hyphens between dots"),
        ("http://Ü/", "IDNA 2008, lower case"),
        ("http://a/" + "x" * 2048, "longer than 2048 characters"),
        ("http://a/" + "é" * 400, "percent-encoded, is longer than 2048 characters"),
    ],
)
def test_the_reason_names_the_part_and_the_mend(target, problem):
    with pytest.raises(BadTargetError, match=problem):
        parse_target(target)


def test_a_password_is_not_repeated_in_the_reason():
    with pytest.raises(BadTargetError) as refused:
        parse_target("http://user:marked@example.com/")
    assert "marked" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "canonical"),
    [
        ("http://www.example.com/vehicles", "http://www.example.com/vehicles"),
        ("http://example.com", "http://example.com"),
        ("HTTPS://Example.COM/Path?Q=A", "https://example.com/Path?Q=A"),
        ("http://example.com./", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com:8080?x", "http://example.com:8080?x"),
        ("http://example.com/a#part", "http://example.com/a"),
        ("http://bücher.example/é?q=ü", "http://xn--bcher-kva.example/%C3%A9?q=%C3%BC"),
        ("http://faß.example/", "http://xn--fa-hia.example/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://r3---a.example/", "http://r3---a.example/"),
        ("http://3com.com/", "http://3com.com/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://[2606:4700:0::1111]:8443/", "http://[2606:4700::1111]:8443/"),
        ("http://a/100%/%2f/%zz?a=%41", "http://a/100%25/%2F/%25zz?a=%41"),
        ("http://a/../{b}|c?x[]='1'", "http://a/../%7Bb%7D%7Cc?x%5B%5D='1'"),
    ],
)
def test_a_target_has_one_spelling(target, canonical):
    assert parse_target(target).url == canonical
    assert parse_target(canonical).url == canonical


def test_the_parts_are_named():
    assert parse_target("https://[2606:4700::1]/x")._asdict() == {
        "url": "https://[2606:4700::1]/x",
        "scheme": "https",
        "host": "2606:4700::1",
        "port": 443,
        "endpoint": "2606:4700::1",
    }


@pytest.mark.parametrize(
    ("target", "endpoint"),
    [
        ("http://a:80/", "a"),
        ("https://a/", "a"),
        ("http://a:443/", "a:443"),
        ("http://a:81", "a:81"),
    ],
)
def test_an_endpoint_names_the_port_unless_it_is_the_usual_one(target, endpoint):
    assert parse_target(target).endpoint == endpoint


@pytest.mark.parametrize("path", ["/a/../b//c?x=%5B%5D&y", "?x", "/%zz/%2f/{}", "/é"])
def test_every_transport_asks_for_what_was_judged(path, post, receiver):
    url = receiver.url("").rstrip("/") + path
    post(url)
    asked = parse_target(url).url.removeprefix(receiver.url("").rstrip("/"))
    assert receiver.posts[0].path == (asked if asked.startswith("/") else f"/{asked}")


def test_a_stored_target_may_be_spelled_otherwise(post, receiver):
    assert post(receiver.url("/x#part").replace("http", "HTTP")).status_code == 200
    assert receiver.posts[0].path == "/x"
