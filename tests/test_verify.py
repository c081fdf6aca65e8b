"""``doh.verify``: what a receiving project believes, and what it is told about the rest."""

import subprocess
import sys
import time
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from standardwebhooks import Webhook

from doh.exceptions import (
    HeaderMissingError,
    HookConfigurationError,
    SignatureMismatchError,
    TimestampError,
    VerificationError,
)
from doh.verify import verified, verify
from doh.wire.signing import Keyring, new_secret, public_key
from tests.app.models import Vehicle

BODY = '{"a":"é"}'.encode()


def signed(*secrets, body=BODY, at=None, uid="msg_1"):
    """The headers of a message signed with some secrets."""
    now = int(time.time()) if at is None else at
    ring = Keyring(secrets[0], tuple((secret, now + 9) for secret in secrets[1:]))
    return {
        "Webhook-Id": uid,
        "Webhook-Timestamp": str(now),
        "Webhook-Signature": ring.signatures(uid, now, body),
    }


def test_a_genuine_message_is_given_back():
    secret, now = new_secret(), int(time.time())
    message = verify((BODY, signed(secret, at=now)), secret)
    assert (message.id, message.sent_at) == ("msg_1", datetime.fromtimestamp(now, UTC))
    assert (message.body, message.json()) == (BODY, {"a": "é"})
    assert "é" not in repr(message)
    assert verify((BODY.decode(), signed(secret)), secret).body == BODY


def test_what_the_python_library_signs_is_believed():
    secret, now = new_secret(), datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, BODY.decode()),
    }
    assert verify((BODY, headers), secret).id == "msg_1"


def test_one_of_several_secrets_and_signatures_is_enough():
    old, new, key = new_secret(), new_secret(), new_secret("v1a")
    message = (BODY, signed(new, old, key))
    for secrets in (old, new, public_key(key), [new_secret(), old], (public_key(key), new)):
        assert verify(message, secrets).id == "msg_1"


def test_a_django_request_is_a_message():
    secret = new_secret()
    request = RequestFactory().post(
        "/", BODY, content_type="application/json", headers=signed(secret)
    )
    assert verify(request, secret).body == BODY


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
@pytest.mark.parametrize("value", [None, "", " "])
def test_a_header_that_is_missing_is_named(name, value):
    secret = new_secret()
    headers = signed(secret)
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    with pytest.raises(HeaderMissingError, match=name.lower()):
        verify((BODY, headers), secret)


@pytest.mark.parametrize(
    ("at", "said"), [(-301, "in the past"), (301, "in the future"), (-(10**9), "in the past")]
)
def test_a_message_of_another_time_is_refused(at, said):
    secret = new_secret()
    # A second off, since the clock goes on meanwhile.
    message = (BODY, signed(secret, at=int(time.time()) + at + (2 if at > 0 else 0)))
    with pytest.raises(TimestampError, match=said):
        verify(message, secret)
    assert verify(message, secret, tolerance=2 * 10**9)


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "²", "9" * 13, "1e9"])
def test_a_time_that_is_none_is_refused(text):
    secret = new_secret()
    with pytest.raises(TimestampError, match="no number of seconds"):
        verify((BODY, {**signed(secret), "Webhook-Timestamp": text}), secret)


@pytest.mark.parametrize("scheme", ["v1", "v1a"])
def test_another_secret_body_id_or_time_fits_no_signature(scheme):
    secret, now = new_secret(scheme), int(time.time())
    known = public_key(secret) or secret
    other = new_secret(scheme)
    headers = signed(secret, at=now)
    for body, change, key in (
        (BODY, {}, public_key(other) or other),
        (BODY + b" ", {}, known),
        (BODY, {"Webhook-Id": "msg_2"}, known),
        (BODY, {"Webhook-Timestamp": str(now - 1)}, known),
    ):
        with pytest.raises(SignatureMismatchError):
            verify((body, headers | change), key)


@pytest.mark.parametrize(
    "header", ["v1", "v1,", "v1,???", "v2,AAAA", "v1a,AAAA", ",", "v1,AAAA v1a," + "A" * 88, "é"]
)
@pytest.mark.parametrize("scheme", ["v1", "v1a"])
def test_nonsense_is_no_signature(header, scheme):
    secret = new_secret(scheme)
    with pytest.raises(SignatureMismatchError):
        verify(
            (BODY, {**signed(secret), "Webhook-Signature": header}), public_key(secret) or secret
        )


def test_a_signature_of_one_scheme_is_none_of_the_other():
    secret = new_secret()
    headers = signed(secret)
    headers["Webhook-Signature"] = headers["Webhook-Signature"].replace("v1,", "v1a,")
    with pytest.raises(SignatureMismatchError):
        verify((BODY, headers), secret)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "hidden",
        "whsec_",
        "whsec_hidden?",
        "whpk_" + b64encode(b"hidden").decode(),
        new_secret("v1a"),
    ],
)
def test_a_secret_that_is_none_is_an_error_of_the_project_and_not_quoted(secret):
    good = new_secret()
    with pytest.raises(HookConfigurationError, match="Secret 2 is none") as error:
        verify((BODY, signed(good)), [good, secret])
    assert not issubclass(HookConfigurationError, VerificationError)
    assert "hidden" not in str(error.value)
    with pytest.raises(HookConfigurationError, match="no secret"):
        verify((BODY, signed(good)), [])


@pytest.mark.parametrize("getter", [True, False])
def test_a_view_is_called_for_genuine_messages_only(getter):
    secret = new_secret()

    @verified((lambda request: secret) if getter else secret)
    def view(request, name):
        return HttpResponse(f"{name} {request.webhook.id}")

    post = RequestFactory(enforce_csrf_checks=True).post
    kind = "application/json"
    good = view(post("/", BODY, content_type=kind, headers=signed(secret)), name="got")
    assert (good.status_code, good.content) == (200, b"got msg_1")
    bad = view(post("/", BODY, content_type=kind, headers=signed(new_secret())), name="got")
    assert (bad.status_code, bad["Content-Type"]) == (400, "text/plain")
    assert b"None of the signatures" in bad.content
    assert view.csrf_exempt


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["v1", "v1a"])
def test_what_we_send_is_believed(scheme, hook_on, receiver):
    bus = Vehicle.objects.create(name="55")
    hook = hook_on(bus, scheme=scheme)
    bus.save()
    (post,) = receiver.posts
    assert verify((post.body, post.headers), hook.public_key or hook.secret).json() == {}


def test_it_needs_neither_the_app_nor_any_settings():
    code = (
        "from doh.verify import verify; import sys;"
        " assert not {'celery', 'doh.models', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
