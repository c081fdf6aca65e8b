"""Secrets of hooks: schemes, rotation, and what receivers verify."""

from base64 import b64decode, b64encode
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.exceptions import ValidationError
from django.db import connection
from standardwebhooks import Webhook, WebhookVerificationError

from doh.models import Hook
from doh.signing import validate_secret
from doh.wire.signing import GRACE, OLD_SECRETS
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def post(bus, receiver):
    """Saves the bus; returns the one POST that its hook got."""

    def save():
        receiver.reset()
        bus.save()
        (got,) = receiver.posts
        return got

    return save


def accepts(secret, post):
    try:
        Webhook(secret).verify(post.body, post.headers)
    except WebhookVerificationError:
        return False
    return True


def signatures(post):
    return [one.split(",", 1) for one in post.headers["webhook-signature"].split(" ")]


def test_both_secrets_sign_for_a_day_after_a_rotation(hook_on, bus, post, monkeypatch):
    hook = hook_on(bus)
    old = hook.secret
    new = hook.rotate_secret()
    assert new == hook.secret == Hook.objects.get().secret != old
    got = post()
    assert accepts(new, got)
    assert accepts(old, got)
    assert [version for version, _ in signatures(got)] == ["v1", "v1"]
    from doh.wire import request

    later = request.clock() + GRACE
    monkeypatch.setattr("doh.dispatch.clock", lambda _drift: later)
    assert len(signatures(post())) == 1


def test_a_second_rotation_does_not_cut_the_grace_of_the_first(hook_on, bus, post):
    hook = hook_on(bus)
    secrets = [hook.secret, hook.rotate_secret(), Hook.objects.get().rotate_secret()]
    got = post()
    assert all(accepts(secret, got) for secret in secrets)
    for _ in range(OLD_SECRETS + 3):
        hook.rotate_secret()
    assert len(signatures(post())) == 1 + OLD_SECRETS


def test_a_leaked_secret_is_ended_at_once(hook_on, bus, post):
    hook = hook_on(bus)
    leaked = [hook.secret, hook.rotate_secret()]
    new = hook.rotate_secret(grace=timedelta(0))
    got = post()
    assert accepts(new, got)
    assert not any(accepts(secret, got) for secret in leaked)


def test_a_stale_instance_rotates_what_is_in_the_database(hook_on, bus, post):
    hook, stale = hook_on(bus), Hook.objects.get()
    between = hook.rotate_secret()
    stale.rotate_secret()
    assert accepts(between, post())


def test_a_secret_that_is_lost_is_replaced(hook_on, bus, post):
    hook = hook_on(bus)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE doh_hook SET secret = 'x', old_secrets = 'y'")
    assert accepts(hook.rotate_secret(), post())


def test_old_secrets_are_encrypted_too(hook_on, bus):
    hook = hook_on(bus)
    old = hook.secret
    hook.rotate_secret()
    with connection.cursor() as cursor:
        cursor.execute("SELECT old_secrets FROM doh_hook")
        (stored,) = cursor.fetchone()
    assert old not in stored
    assert old in Hook.objects.get().old_secrets


def test_an_ed25519_hook_is_verified_with_its_public_key(hook_on, bus, post):
    hook = hook_on(bus, scheme="v1a")
    assert hook.secret.startswith("whsk_")
    assert hook.public_key.startswith("whpk_")
    assert Hook.objects.get().public_key == hook.public_key
    got = post()
    ((version, signature),) = signatures(got)
    assert version == "v1a"
    content = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    key = Ed25519PublicKey.from_public_bytes(b64decode(hook.public_key.removeprefix("whpk_")))
    key.verify(b64decode(signature), content)


def test_a_rotation_can_change_the_scheme(hook_on, bus, post):
    hook = hook_on(bus)
    old = hook.secret
    assert hook.public_key is None
    hook.rotate_secret("v1a")
    assert (hook.scheme, Hook.objects.get().scheme) == ("v1a", "v1a")
    got = post()
    assert [version for version, _ in signatures(got)] == ["v1a", "v1"]
    assert accepts(old, got)
    assert hook.rotate_secret().startswith("whsk_")


def test_a_scheme_that_is_none_is_refused(hook_on, bus):
    with pytest.raises(ValueError, match="scheme must be 'v1'"):
        hook_on(bus, scheme="v2")
    hook = hook_on(bus)
    with pytest.raises(ValueError, match="scheme must be 'v1'"):
        hook.rotate_secret("hmac")
    hook.scheme = "v1"
    with pytest.raises(ValueError, match=r"rotate_secret\(scheme\)"):
        hook.scheme = "v1a"


def test_githubs_signature_is_there_for_whoever_asks(hook_on, bus, post, settings):
    import hashlib
    import hmac

    hook = hook_on(bus)
    assert "x-hub-signature-256" not in post().headers
    settings.HOOK_HUB_SIGNATURE = True
    got = post()
    digest = hmac.new(hook.secret.encode(), got.body, hashlib.sha256).hexdigest()
    assert got.headers["x-hub-signature-256"] == f"sha256={digest}"
    hook.rotate_secret("v1a")
    assert "x-hub-signature-256" not in post().headers


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "plain text",
        "whsec_",
        "whsec_???",
        "whsec_" + b64encode(b"short").decode(),
        "whsec_" + b64encode(b"x" * 65).decode(),
        "whsk_" + b64encode(b"x" * 33).decode(),
        "whpk_" + b64encode(b"x" * 32).decode(),
    ],
)
def test_a_secret_of_ones_own_must_be_one_and_is_not_quoted(secret):
    with pytest.raises(ValidationError) as error:
        validate_secret(secret)
    assert secret in ("", "whsec_") or secret not in str(error.value)


@pytest.mark.parametrize(
    "secret",
    ["whsec_" + b64encode(b"x" * 24).decode(), "whsk_" + b64encode(b"x" * 32).decode()],
)
def test_a_secret_of_ones_own_signs(secret, hook_on, bus, post):
    validate_secret(secret)
    hook_on(bus, secret=secret)
    assert len(signatures(post())) == 1
