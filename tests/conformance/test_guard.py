"""The guard, at the socket: who is dialled, whatever the URL, its name server and its TLS say."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from doh.models import Hook
from tests.bad_targets import PUBLIC, REFUSED_AT_CONNECT, REFUSED_AT_SAVE
from tests.conformance.conftest import SITE, SITE_6
from tests.conformance.senders import HookSender, Sent

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = "the target's address is not allowed"
BLOCKED = Sent("waiting", True, REFUSED)
CERTIFICATE = "the target's TLS certificate is not valid"
#: What no kernel dials over TCP, or not without a zone: no canary can be there, and no danger.
NOBODY_DIALS = {"224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "fe80::1"}
#: Mapped and unspecified ones arrive as what they stand for.
ARRIVE_AS = {
    "0.0.0.0": "127.0.0.1",
    "::": "::1",
    **{
        address: address.removeprefix("::ffff:")
        for address in REFUSED_AT_CONNECT
        if ip_address(address) in ip_network("::ffff:0:0/96")
    },
}
PORTS = (("http", 80), ("https", 443), ("http", 8080))


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def url(host, scheme="http", port=80):
    return f"{scheme}://{bracketed(host)}:{port}/"


def test_the_canary_would_see_who_dials_a_denied_address(canary):
    unseen = set()
    for address in REFUSED_AT_CONNECT:
        try:
            socket.create_connection((address, 80), 5).close()
        except OSError:
            unseen.add(address)
    assert unseen <= NOBODY_DIALS
    for address in set(REFUSED_AT_CONNECT) - NOBODY_DIALS:
        assert canary.wait_for(ARRIVE_AS.get(address, str(ip_address(address)))), address


@pytest.mark.parametrize("address", [SITE, SITE_6, *PUBLIC[:3]])
def test_a_public_address_is_reached(address, sender, canary, user, names):
    names["public.example"] = [[address]]
    targets = [url(address), url("public.example", port=8080)]
    sent = sender.send(targets, user)
    assert canary.wait_for(address)
    if isinstance(sender, HookSender):
        assert {one.status for one in sent.values()} == {"succeeded"}, sent


def test_a_denied_address_is_never_dialled(sender, canary, user, names):
    targets = [url(SITE)]
    for number, address in enumerate(REFUSED_AT_CONNECT):
        names[f"n{number}.example"] = [[address]]
        targets += [url(address, *kind) for kind in PORTS]
        targets += [url(f"n{number}.example", *kind) for kind in PORTS[:2]]
    sent = sender.send(targets, user)
    # The one at the beginning proves that the canary was awake.
    assert canary.wait_for(SITE)
    assert canary.addresses() == {SITE}
    if isinstance(sender, HookSender):
        assert {one for target, one in sent.items() if target != url(SITE)} == {BLOCKED}


def test_mixed_answers_are_refused_whole(sender, canary, user, names):
    names["mixed4.example"] = [[SITE, "10.1.2.3"]]
    names["mixed6.example"] = [[SITE_6, "fd00::1"]]
    names["mixed46.example"] = [[SITE, "::1"]]
    names["mixed64.example"] = [["127.0.0.1", SITE_6]]
    targets = [url(name) for name in names]
    sent = sender.send([*targets, url(SITE)], user)
    assert canary.wait_for(SITE)
    assert canary.addresses() == {SITE}
    assert len(canary.requests()) <= 1
    if isinstance(sender, HookSender):
        assert all(sent[target].blocked for target in targets), sent


def test_an_alias_of_a_private_name_is_refused(sender, canary, user, names):
    names["inside.example"] = [["10.1.2.3"]]
    names["alias.example"] = [["inside.example"]]
    names["open.example"] = [[SITE]]
    sender.send([url("alias.example"), url("open.example")], user)
    assert canary.wait_for(SITE)
    assert canary.addresses() == {SITE}


@pytest.mark.parametrize("private", ["127.0.0.1", "169.254.169.254", "10.1.2.3"])
def test_a_name_that_turns_private_between_two_look_ups_is_not_followed(
    private, sender, canary, user, names
):
    for number in range(5):
        names[f"rebind{number}.example"] = [[SITE], [private]]
    targets = [url(f"rebind{number}.example") for number in range(5)]
    for _ in range(3):
        sender.send([*targets, url(SITE)], user)
    assert canary.wait_for(SITE)
    assert canary.addresses() == {SITE}


def test_tls_is_about_the_name_of_the_url(sender, canary, user, names):
    bad = ["another-name", "address-only", "expired", "self-signed"]
    for name in ["good", *bad]:
        names[f"{name}.example"] = [[SITE]]
    targets = [url(f"{name}.example", "https", 443) for name in ["good", *bad]]
    address = url(SITE, "https", 8443)
    sent = sender.send([*targets[1:], address, targets[0]], user)
    assert canary.wait_for(SITE)
    wait_for_requests(canary, 2)
    assert {visit.name for visit in canary.requests()} == {"good.example", None}
    if isinstance(sender, HookSender):
        assert all(sent[target].detail.endswith(CERTIFICATE) for target in targets[1:]), sent
        assert (sent[targets[0]].status, sent[address].status) == ("succeeded", "succeeded")


def test_a_redirect_inwards_is_not_followed(sender, canary, user):
    target = url(SITE) + "away"
    sent = sender.send([target], user)
    assert canary.wait_for(SITE)
    assert canary.addresses() == {SITE}
    if isinstance(sender, HookSender):
        assert sent[target].detail == "302: redirects are not followed"


def test_what_no_save_would_accept_is_not_sent_either(sender, canary, user, names):
    bad = [one for one in REFUSED_AT_SAVE if len(one) <= 2048 and "\0" not in one]
    sent = sender.send([*bad, url(SITE)], user)
    assert canary.wait_for(SITE)
    assert canary.addresses() == {SITE}
    if not isinstance(sender, HookSender):
        return
    assert {sent[target].status for target in bad} == {"dead"}
    assert Hook.objects.filter(disabled_at=None).count() == 1


def test_name_servers_that_never_answer_do_not_hold_the_others_up(sender, canary, user, names):
    names["good.example"] = [[SITE]]
    hanging = [url(f"hang{number}.example") for number in range(4)]
    sent = sender.send([*hanging, url("good.example"), url(SITE_6)], user)
    assert canary.wait_for(SITE)
    assert canary.wait_for(SITE_6)
    if isinstance(sender, HookSender):
        unresolved = "the target's host name can't be resolved"
        assert all(sent[target].detail.endswith(unresolved) for target in hanging), sent
        assert sent[url("good.example")].status == "succeeded"


def wait_for_requests(canary, number):
    with canary._changed:
        assert canary._changed.wait_for(lambda: len(canary.requests()) >= number, 20)
