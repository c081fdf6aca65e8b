import pytest
from standardwebhooks import Webhook

from doh.wire.request import Message, build_request, clock
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


def test_custom_headers_are_sent_and_one_of_ours_gives_way():
    request = build(custom=(("Authorization", "Bearer x"), ("user-agent", "mine")))
    assert request.headers[2:4] == (("Authorization", "Bearer x"), ("user-agent", "mine"))
    assert "User-Agent" not in dict(request.headers)


def test_what_is_secret_is_not_in_the_repr():
    request = build(keyring=Keyring(new_secret()), custom=(("Authorization", "marked"),))
    assert not any(mark in repr(request) for mark in ("marked", "webhook-signature", '{"a":1}'))
