"""What may be dialled: the table, the policy, and every transport asking it."""

import socket
import threading
from dataclasses import replace
from ipaddress import ip_address, ip_network
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh.exceptions import AddressRefusedError
from doh.types import Failure
from doh.wire import addresses
from doh.wire.guard import INTERNET, Address, Policy
from doh.wire.target import parse_target
from tests.bad_targets import PUBLIC, REFUSED_AT_CONNECT
from tests.wire.transports import LOOPBACK, job_for

REFUSED = Failure("the target's address is not allowed", blocked=True)


@pytest.mark.parametrize("address", REFUSED_AT_CONNECT)
def test_nothing_that_is_not_public_may_be_dialled(address):
    assert not INTERNET.allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_dialled(address):
    assert INTERNET.allows(address)


@pytest.mark.parametrize(
    "text", ["localhost", "", "127.1", "fe80::1%eth0", "2606:4700::1%1", "1.1.1.1 ", "01.1.1.1"]
)
def test_what_is_no_plain_address_is_refused(text):
    assert not INTERNET.allows(text)


@given(st.ip_addresses())
def test_the_table_is_never_laxer_than_pythons(address):
    if INTERNET.allows(str(address)):
        assert address.is_global or address in ip_network("192.88.99.0/24")
        assert not address.is_multicast


@pytest.mark.parametrize(
    ("networks", "allowed", "refused"),
    [
        (["127.0.0.0/8"], ["127.0.0.1", "1.1.1.1"], ["10.0.0.1", "::1", "::ffff:127.0.0.1"]),
        (["::1/128"], ["::1"], ["127.0.0.1", "::2"]),
        (["fd00::/8"], ["fd00:ec2::1"], ["fc00::1", "fd00::5efe:a00:1"]),
        (["fd00::/8", "10.0.0.0/8"], ["fd00::5efe:a00:1"], ["fd00::5efe:7f00:1"]),
        (["64:ff9b::/96"], ["64:ff9b::808:808"], ["64:ff9b::7f00:1", "64:ff9b:1::808:808"]),
        (["2002::/16"], ["2002:808:808::1"], ["2002:7f00:1::1"]),
        (["2001::/32"], ["2001::f7f7:f7f7"], ["2001::80ff:fffe"]),
        (["::/96"], ["::8.8.8.8", "::", "::1"], ["::127.0.0.1"]),
        (["::ffff:0:0/96"], ["::ffff:8.8.8.8"], ["::ffff:10.0.0.1", "10.0.0.1"]),
    ],
)
def test_opened_networks_open_nothing_else(networks, allowed, refused):
    policy = Policy(tuple(map(ip_network, networks)))
    assert [host for host in allowed if not policy.allows(host)] == []
    assert [host for host in refused if policy.allows(host)] == []


def test_a_denied_network_stays_so_where_it_is_opened():
    policy = Policy(
        (ip_network("10.0.0.0/8"),),
        denied_networks=(ip_network("10.9.0.0/16"), ip_network("8.8.8.8/32")),
    )
    assert policy.allows("10.8.0.1")
    assert not policy.allows("10.9.0.1")
    assert not policy.allows("8.8.8.8")


def test_only_one_private_answer_among_public_ones_refuses_them_all():
    found = [Address(socket.AF_INET, host, 80) for host in ("1.1.1.1", "10.0.0.1", "8.8.8.8")]
    with pytest.raises(AddressRefusedError):
        INTERNET.judge(found)
    assert INTERNET.judge(found[::2]) == tuple(found[::2])


@pytest.mark.parametrize(
    ("policy", "target", "refusal"),
    [
        (Policy(), "http://example.com:8080/", None),
        (Policy(), "https://example.com:8443/", None),
        (
            Policy(),
            "http://example.com:22/",
            "the target's port 22 is not allowed: use one of 80, 443, 8080, 8443",
        ),
        (Policy(allowed_ports=range(1, 9)), "http://a:9/", "the target's port 9 is not allowed"),
        (Policy(allow_http=False), "http://example.com/", "the target must start with https://"),
        (Policy(allow_http=False), "https://example.com/", None),
        (Policy(denied_hosts=("me.example",)), "http://Me.example./", "the target's host is"),
        (Policy(denied_hosts=("me.example",)), "http://a.me.example/", "the target's host is"),
        (Policy(denied_hosts=("me.example",)), "http://some.example/", None),
        (Policy(), "http://10.0.0.1/", None),
        (Policy(proxy="http://proxy"), "http://10.0.0.1/", "the target's address is not allowed"),
        (Policy(proxy="http://proxy"), "http://example.com/", None),
    ],
)
def test_scheme_port_and_name_are_judged_before_any_look_up(policy, target, refusal):
    found = policy.refusal(parse_target(target))
    assert (found is None) == (refusal is None)
    assert found is None or found.startswith(refusal)


# Every transport


def answers(monkeypatch, *hosts):
    """Let every name have these addresses, one list after the other."""
    rest = list(hosts)

    def look_up(host, port, **_):
        found = rest.pop(0) if len(rest) > 1 else rest[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port))
            for one in found
        ]

    monkeypatch.setattr("doh.wire.lookups.socket.getaddrinfo", look_up)


def test_a_private_address_is_refused_without_any_setting(make, receiver):
    transport = make(policy=Policy(allowed_ports=range(1, 65_536)))
    assert replace(transport.post(job_for(receiver.url("/"))), elapsed=0) == REFUSED
    named = receiver.url("/").replace("127.0.0.1", "localhost")
    assert replace(transport.post(job_for(named)), elapsed=0) == REFUSED
    assert receiver.posts == []


def test_a_port_is_refused_before_anything_is_looked_up(make, receiver, monkeypatch):
    answers(monkeypatch, ["127.0.0.1"])
    reply = make(policy=replace(LOOPBACK, allowed_ports=(443,))).post(job_for(receiver.url("/")))
    assert (reply.blocked, "is not allowed: use one of 443" in reply.detail) == (True, True)


def test_mixed_answers_are_refused_whole(make, receiver, monkeypatch):
    answers(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    url = receiver.url("/").replace("127.0.0.1", "mixed.example")
    assert replace(make().post(job_for(url)), elapsed=0) == REFUSED
    assert receiver.posts == []


def test_a_name_is_dialled_at_the_address_that_was_judged(make, receiver, monkeypatch):
    answers(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    url = receiver.url("/").replace("127.0.0.1", "rebinding.example")
    assert make().post(job_for(url)).status_code == 200
    assert receiver.posts[0].headers["host"].startswith("rebinding.example:")


def test_the_address_is_judged_again_at_the_socket(make, receiver, monkeypatch):
    judge = Policy.judge
    monkeypatch.setattr(Policy, "judge", lambda self, found: judge(LOOPBACK, found))
    transport = make(policy=Policy(allowed_ports=range(1, 65_536)))
    assert replace(transport.post(job_for(receiver.url("/"))), elapsed=0) == REFUSED
    assert receiver.posts == []


def test_a_name_server_that_never_answers_costs_the_connect_timeout(make, receiver, monkeypatch):
    hung = threading.Event()
    look_up = socket.getaddrinfo

    def hang(host, *args, **options):
        if host.endswith(".example"):
            hung.wait(30)
        return look_up("127.0.0.1", *args, **options)

    monkeypatch.setattr("doh.wire.lookups.socket.getaddrinfo", hang)
    transport = make(limits=(2.0, 20.0))
    try:
        for _ in range(2):
            # A name of its own: a look-up that the last test let go may still be under way.
            name = f"{uuid4().hex}.example"
            reply = transport.post(job_for(receiver.url("/").replace("127.0.0.1", name)))
            assert reply.detail == "the target's host name can't be resolved"
        assert transport.post(job_for(receiver.url("/"))).status_code == 200
        assert (
            transport.post(job_for(receiver.url("/").replace("127.0.0.1", "b"))).status_code == 200
        )
    finally:
        hung.set()


def test_the_table_is_frozen():
    """Changing what is public is a decision: it shows here."""
    assert len(addresses._DENIED_4) == 19
    assert len(addresses._DENIED_6) == 5
    assert ip_address("2000::") in addresses._GLOBAL_6
