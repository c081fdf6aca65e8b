"""Whatever is accepted at save never reaches a denied address at connect: as a property."""

import socket
from concurrent.futures import Future
from ipaddress import ip_address
from unittest.mock import patch

import pytest
import urllib3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from doh.exceptions import BadTargetError
from doh.wire.addresses import parse_address
from doh.wire.connections import TransportOptions
from doh.wire.guard import INTERNET, Address
from doh.wire.request import build_request
from doh.wire.requests_transport import RequestsTransport
from doh.wire.target import parse_target
from tests.bad_targets import PUBLIC, REFUSED_AT_CONNECT, REFUSED_AT_SAVE

ADDRESSES = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(REFUSED_AT_CONNECT), st.sampled_from(PUBLIC)
)


def spelled(address):
    """An address in one of the ways in which attackers have written it."""
    whole = ip_address(address)
    number = int(whole)
    if whole.version == 6:
        return st.sampled_from([f"[{whole}]", f"[{whole.exploded}]", f"[{whole}%25lo]", str(whole)])
    parts = str(whole).split(".")
    return st.sampled_from(
        [
            str(whole),
            str(number),
            hex(number),
            f"0{number:o}",
            ".".join(hex(int(part)) for part in parts),
            ".".join(f"0{int(part):o}" for part in parts),
            f"{parts[0]}.{number & 0xFFFFFF}",
            f"{whole}.",
            f"[::ffff:{whole}]",
            f"[64:ff9b::{whole}]",
            str(whole).translate({ord("."): "。"}),
            "".join(chr(0xFF10 + int(char)) if char.isdigit() else char for char in str(whole)),
            "".join(f"%{ord(char):02x}" for char in str(whole)),
        ]
    )


HOSTS = st.one_of(
    ADDRESSES.flatmap(spelled),
    st.text(max_size=30),
    st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,10}){0,3}", fullmatch=True),
)
URLS = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "file", "gopher", "http:", ""]),
    st.sampled_from(["", "", "", "user:pass@", "a\\@", "example.com#@", "example.com\\"]),
    HOSTS,
    st.sampled_from(["", "", ":80", ":443", ":0", ":80:90", ":8080@127.0.0.1"]),
    st.one_of(st.sampled_from(["", "/", "?x", "#y", "/../\\"]), st.text(max_size=10)),
)


class Names:
    """A name server that gives the same answers for every name."""

    def __init__(self, hosts):
        self._hosts = hosts

    def ask(self, host, port):
        answer = Future()
        if self._hosts:
            family = {4: socket.AF_INET, 6: socket.AF_INET6}
            answer.set_result(
                tuple(Address(family[ip_address(one).version], one, port) for one in self._hosts)
            )
        else:
            answer.set_exception(socket.gaierror())
        return answer


@given(url=st.one_of(URLS, st.sampled_from(REFUSED_AT_SAVE)), hosts=st.lists(ADDRESSES, max_size=3))
@example(url="http://example.com/", hosts=["8.8.8.8", "10.1.2.3"])
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_never_reaches_a_denied_address(url, hosts):
    dialled = []

    def dial(address, _timeout):
        dialled.append(address.host)
        raise ConnectionRefusedError

    try:
        request = build_request(url, "{}", user_agent="doh", timestamp=0)
    except BadTargetError:
        return
    transport = RequestsTransport(TransportOptions(5, 5, dial=dial))
    with patch("doh.wire.connections.lookups", lambda: Names(hosts)):
        transport.post(request)
    transport.close()
    assert all(INTERNET.allows(host) for host in dialled)
    if dialled and parse_address(request.host) is None:
        assert all(INTERNET.allows(host) for host in hosts)


@given(URLS)
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_is_read_alike_by_everybody_else(url):
    try:
        target = parse_target(url)
    except BadTargetError:
        return
    theirs = urllib3.util.parse_url(target.url)
    assert (theirs.host or "").strip("[]") == target.host
    assert (theirs.port or {"http": 80, "https": 443}[target.scheme]) == target.port
    assert theirs.scheme == target.scheme
    assert parse_target(target.url) == target


@pytest.mark.parametrize("target", REFUSED_AT_SAVE)
def test_the_corpus_is_in_the_property(target):
    with pytest.raises(BadTargetError):
        build_request(target, "{}", user_agent="doh", timestamp=0)
