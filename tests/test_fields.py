from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.management import call_command
from django.core.serializers.base import DeserializationError
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


def test_a_dump_holds_tokens_and_can_be_loaded(db, hook_on, settings):
    hook = hook_on(Vehicle.objects.create(name="55"))
    old = str(hook.secret)
    hook.rotate_secret()
    out = StringIO()
    call_command("dumpdata", "doh.hook", stdout=out)
    assert old not in out.getvalue()
    assert str(hook.secret) not in out.getvalue()
    Hook.objects.all().delete()
    for loaded in serializers.deserialize("json", out.getvalue()):
        loaded.save()
    again = Hook.objects.get()
    assert (again.secret, again.old_secrets) == (hook.secret, hook.old_secrets)
    settings.SECRET_KEY = "another"
    with pytest.raises(DeserializationError, match="HOOK_ENCRYPTION_KEYS"):
        list(serializers.deserialize("json", out.getvalue()))


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
