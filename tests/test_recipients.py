"""What a process keeps of the hooks that it has sent to."""

import json

import pytest

from doh import recipients
from doh.exceptions import SecretUnreadableError
from doh.fields import current_keys, encrypt
from doh.recipients import Recipient
from doh.wire.signing import Keyring, new_secret


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """Room for two."""
    monkeypatch.setattr(recipients, "KEPT_HOOKS", 2)
    monkeypatch.setattr(recipients, "_opened", {})


def recipient(token, old_token=None, target="https://a/", headers=None):
    return Recipient(1, 1, target, token, old_token, headers, None, None, "", None, True)


def test_a_secret_is_opened_once_however_often_it_signs():
    row = recipient(encrypt(new_secret()))
    assert row.opened(current_keys()) is row.opened(current_keys())


def test_a_rotated_secret_is_opened_anew():
    secret, newer = new_secret(), new_secret()
    assert recipient(encrypt(secret)).opened(current_keys()).keyring.secret == secret
    assert recipient(encrypt(newer)).opened(current_keys()).keyring.secret == newer


def test_old_secrets_are_read_anew_when_they_change():
    token = encrypt(new_secret())
    old = Keyring(new_secret(), ((new_secret(), 2_000_000_000),))
    assert not recipient(token).opened(current_keys()).keyring.old
    assert recipient(token, encrypt(old.dump_old())).opened(current_keys()).keyring.old == old.old


def test_a_target_and_headers_are_read_anew_when_they_change():
    token = encrypt(new_secret())
    first, second = ({"X-Number": number} for number in "12")
    for target, headers in (("a", first), ("b", first), ("b", second), ("b", None)):
        sealed = None if headers is None else encrypt(json.dumps(headers))
        found = recipient(token, None, f"https://{target}/", sealed).opened(current_keys())
        assert (found.place.host, dict(found.headers)) == (target, headers or {})


def test_what_is_opened_shows_nothing_of_itself():
    headers = encrypt(json.dumps({"Authorization": "marked"}))
    row = recipient(encrypt(new_secret()), None, "https://a/?marked", headers)
    assert "marked" not in repr((row, row.opened(current_keys())))


def test_a_secret_is_opened_with_the_present_keys(settings):
    row = recipient(encrypt(new_secret()))
    row.opened(current_keys())
    settings.SECRET_KEY = "another"
    with pytest.raises(SecretUnreadableError):
        row.opened(current_keys())


def test_what_is_kept_of_secrets_is_bounded():
    rows = [recipient(encrypt(new_secret())) for _ in range(5)]
    keyrings = {row.opened(current_keys()).keyring.secret for row in rows}
    assert len(keyrings) == 5
    assert len(recipients._opened) <= 2
