import pytest

from doh.exceptions import SecretUnreadableError
from doh.wire.signing import Keyring, Scheme, new_secret, sign


@pytest.mark.parametrize("scheme", Scheme)
def test_a_signature_binds_id_time_and_body(scheme):
    secret = new_secret(scheme)
    signatures = {
        sign(secret, "evt_1", 1, b"a"),
        sign(secret, "evt_2", 1, b"a"),
        sign(secret, "evt_1", 2, b"a"),
        sign(secret, "evt_1", 1, b"b"),
        sign(new_secret(scheme), "evt_1", 1, b"a"),
    }
    assert len(signatures) == 5
    assert all(one.startswith(f"{scheme},") for one in signatures)


def test_secrets_are_fresh_and_of_32_bytes():
    assert new_secret() != new_secret()
    assert len(new_secret()) == len("whsec_") + 44
    # An ed25519 key as NaCl writes it: the seed and the public key.
    assert len(new_secret(Scheme.ED25519)) == len("whsk_") + 88


@pytest.mark.parametrize("secret", ["whsec_a", "whsk_AAAA", "whsec_é"])
def test_a_secret_that_cannot_sign_is_not_quoted(secret):
    with pytest.raises(SecretUnreadableError) as error:
        Keyring(secret).check()
    assert secret not in str(error.value)


@pytest.mark.parametrize("old", ["no json", "[1]", '[["a", "b"]]'])
def test_old_secrets_that_are_none_say_so(old):
    with pytest.raises(SecretUnreadableError, match="rotate again"):
        Keyring.of(new_secret(), old)


def test_a_keyring_shows_nothing_of_itself():
    keyring = Keyring(new_secret(), ((new_secret(), 1),))
    assert "whsec_" not in repr(keyring)
