"""Receivers that misbehave, on each transport: it ends, with the right words for the owner."""

from types import SimpleNamespace

import pytest
import trustme

from doh.types import Answer, Failure
from tests import hostile
from tests.wire.transports import HASTY, job_for

LATE = "no complete answer within 1 s"
BROKEN = "the connection to the target failed"
TLS = "the target's TLS certificate is not valid"


@pytest.mark.parametrize(
    "act", [hostile.silent, hostile.drips_headers, hostile.drips_body, hostile.absurd_length]
)
def test_an_answer_that_never_ends_is_cut_off(act, hasty_post):
    with hostile.hostile(act) as url:
        assert hasty_post(url).detail == LATE


@pytest.mark.parametrize(
    "act",
    [
        hostile.endless_continue,
        hostile.endless_hints,
        hostile.endless_headers,
        hostile.endless_long_headers,
        hostile.endless_header_line,
    ],
)
def test_a_peer_that_keeps_talking_is_cut_off(act, hasty_post):
    with hostile.hostile(act) as url:
        assert hasty_post(url).detail in (LATE, BROKEN)


@pytest.mark.parametrize("act", [hostile.huge_body, hostile.gzip_bomb, hostile.endless_chunks])
def test_of_a_large_body_the_beginning_is_read_as_it_is(act, post):
    with hostile.hostile(act) as url:
        answer = post(url)
    assert answer.status_code == 200
    assert len(answer.body) == 16_384
    assert answer.body[:2] in (b"xx", b"\x1f\x8b")


@pytest.mark.parametrize(
    "act",
    [
        hostile.resets,
        hostile.nonsense,
        hostile.closes_in_mid_headers,
        hostile.closes_in_mid_body,
        hostile.large_headers,
    ],
)
def test_a_broken_answer_is_a_failure_with_a_reason(act, post):
    with hostile.hostile(act) as url:
        assert post(url).detail == BROKEN


def test_interim_answers_are_none(post):
    with hostile.hostile(hostile.early_hints) as url:
        answer = post(url)
    assert (answer.status_code, answer.body) == (200, b"ok")


def test_headers_that_cannot_be_read_are_a_failure_without_the_url_in_the_log(post, caplog):
    with hostile.hostile(hostile.odd_headers) as url:
        assert post(url + "?marked").detail == BROKEN
    assert "marked" not in caplog.text


def test_a_redirect_to_loopback_is_an_answer_and_no_more(post):
    with hostile.hostile(hostile.redirects_to_itself) as url:
        assert post(url).status_code == 302


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return SimpleNamespace(ca=made, path=str(path))


def test_a_certificate_of_a_trusted_authority_is_accepted(make, authority):
    context = hostile.certificate("none", authority.ca)
    with hostile.hostile(hostile.answers_tls, context) as url:
        answer = make(ca_bundle=authority.path).post(job_for(url))
    assert isinstance(answer, Answer)
    assert (answer.status_code, answer.body) == (200, b"ok")


@pytest.mark.parametrize("fault", ["name", "authority", "expired"])
def test_a_certificate_with_a_fault_is_refused(fault, make, authority):
    context = hostile.certificate(fault, authority.ca)
    with hostile.hostile(hostile.answers_tls, context) as url:
        assert make(ca_bundle=authority.path).post(job_for(url)).detail == TLS


def test_a_handshake_that_stalls_ends(make):
    with hostile.hostile(hostile.silent) as url:
        reply = make(limits=HASTY).post(job_for(url.replace("http:", "https:")))
    assert isinstance(reply, Failure)
