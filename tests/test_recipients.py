"""What a process keeps of the hooks that it has sent to."""

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


def recipient(token, old_token=None):
    return Recipient(1, 1, "https://a/", token, old_token, None, None, None, "", None, True)


def test_a_secret_is_opened_once_however_often_it_signs():
    row = recipient(encrypt(new_secret()))
    assert row.keyring(current_keys()) is row.keyring(current_keys())


def test_a_rotated_secret_is_opened_anew():
    secret, newer = new_secret(), new_secret()
    assert recipient(encrypt(secret)).keyring(current_keys()).secret == secret
    assert recipient(encrypt(newer)).keyring(current_keys()).secret == newer


def test_old_secrets_are_read_anew_when_they_change():
    token = encrypt(new_secret())
    old = Keyring(new_secret(), ((new_secret(), 2_000_000_000),))
    assert not recipient(token).keyring(current_keys()).old
    assert recipient(token, encrypt(old.dump_old())).keyring(current_keys()).old == old.old


def test_a_secret_is_opened_with_the_present_keys(settings):
    row = recipient(encrypt(new_secret()))
    row.keyring(current_keys())
    settings.SECRET_KEY = "another"
    with pytest.raises(SecretUnreadableError):
        row.keyring(current_keys())


def test_what_is_kept_of_secrets_is_bounded():
    rows = [recipient(encrypt(new_secret())) for _ in range(5)]
    keyrings = {row.keyring(current_keys()).secret for row in rows}
    assert len(keyrings) == 5
    assert len(recipients._opened) <= 2
