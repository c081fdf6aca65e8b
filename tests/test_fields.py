import pytest
from cryptography.fernet import Fernet
from django.db import connection

from doh.exceptions import SecretUnreadableError
from doh.fields import decrypt, encrypt
from doh.models import Hook
from tests.app.models import Vehicle


def test_what_is_encrypted_can_be_read_again():
    token = encrypt("whsec_é")
    assert "whsec" not in token
    assert decrypt(token) == "whsec_é"


def test_the_database_never_sees_a_secret(db, hook_on):
    hook = hook_on(Vehicle.objects.create(name="55"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM doh_hook")
        (stored,) = cursor.fetchone()
    assert hook.secret not in stored
    assert Hook.objects.get().secret == hook.secret


def test_keys_are_rotated_by_putting_the_new_one_first(settings):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.HOOK_ENCRYPTION_KEYS = [old]
    token = encrypt("secret")
    settings.HOOK_ENCRYPTION_KEYS = [new, old]
    assert decrypt(token) == "secret"
    settings.HOOK_ENCRYPTION_KEYS = [new]
    with pytest.raises(SecretUnreadableError, match="HOOK_ENCRYPTION_KEYS"):
        decrypt(token)


def test_a_secret_key_is_rotated_with_its_fallbacks(settings):
    token = encrypt("secret")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert decrypt(token) == "secret"
    settings.HOOK_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert decrypt(token) == "secret", "keys of one's own may come later"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(SecretUnreadableError):
        decrypt(token)
