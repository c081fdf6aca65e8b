import pytest
from standardwebhooks import Webhook

from doh.exceptions import BadTargetError
from doh.wire.request import Message, build_request, clock, parse_target
from doh.wire.signing import Keyring, new_secret

MESSAGE = Message("evt_1", "app.vehicle.changed", "55", 7)


def build(**fields):
    fields = {"user_agent": "doh/1", "timestamp": clock(), "message": MESSAGE, **fields}
    return build_request("https://example.com:8443/a?b=c", '{"a":1}', **fields)


def test_the_signature_is_what_the_standard_library_verifies():
    secret = new_secret()
    request = build(keyring=Keyring(secret))
    assert Webhook(secret).verify(request.body, dict(request.headers)) == {"a": 1}


def test_a_request_says_what_happened():
    request = build(keyring=Keyring(new_secret()), timestamp=1000)
    headers = dict(request.headers)
    headers.pop("webhook-signature")
    assert headers == {
        "Content-Type": "application/json",
        "User-Agent": "doh/1",
        "Accept-Encoding": "identity",
        "webhook-id": "evt_1",
        "webhook-timestamp": "1000",
        "Doh-Event": "app.vehicle.changed",
        "Doh-Object": "55",
        "Doh-Sequence": "7",
    }
    assert (request.host, request.body) == ("example.com", b'{"a":1}')


@pytest.mark.parametrize(
    ("key", "header"),
    [("a b", "a%20b"), ("é", "%C3%A9"), ("x\r\nEvil: 1", "x%0D%0AEvil:%201"), ("50%", "50%25")],
)
def test_a_key_cannot_break_out_of_its_header(key, header):
    request = build(message=Message("evt_1", "a.b.c", key, 1))
    assert dict(request.headers)["Doh-Object"] == header


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("ftp://example.com/", "must start with http:// or https://"),
        ("example.com", "must start with"),
        ("http:///path", "names no host"),
        ("http://[::1", "is no URL"),
        ("http://a:port/", "is no URL"),
        ("http://a b/", "a space or a control character"),
        ("http://a/\n", "a space or a control character"),
        ("http://a/" + "x" * 2048, "longer than 2048 characters"),
        ("", "must start with"),
    ],
)
def test_an_unusable_target_is_refused_with_the_reason(target, problem):
    with pytest.raises(BadTargetError, match=problem):
        parse_target(target)
