"""Columns of our own: what is encrypted at rest, and schedules that are always usable.

Fernet (AES-128-CBC with HMAC-SHA256), see https://github.com/fernet/spec/.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.views.decorators.debug import sensitive_variables

from doh import conf
from doh.exceptions import SecretUnreadableError
from doh.types import Secret

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
    _JSONField = models.JSONField[Any, Any]
else:
    _TextField = models.TextField
    _JSONField = models.JSONField


#: Fernet keys, newest first.
Keys = tuple[str, ...]

#: What every Fernet token begins with: its version, and the zeros of the time.
_TOKEN_PREFIX: Final = "gAAAA"  # noqa: S105


@sensitive_variables()
def encrypt(text: str) -> str:
    """The text as a Fernet token under the newest key."""
    return _box(current_keys()).encrypt(text.encode()).decode()


def decrypt(token: str, keys: Keys | None = None) -> str:
    """The text of a token made by `encrypt`; raises `SecretUnreadableError` if no key fits.

    ``keys`` are the `current_keys`, for whoever decrypts many.
    """
    try:
        return Secret(_box(current_keys() if keys is None else keys).decrypt(token).decode())
    except InvalidToken as error:
        raise SecretUnreadableError(
            "A hook's secret can't be decrypted: put the key it was written with back into"
            " HOOK_ENCRYPTION_KEYS (or SECRET_KEY_FALLBACKS)."
        ) from error


def is_newest(token: str) -> bool:
    """Whether a token was made with the newest key."""
    try:
        Fernet(current_keys()[0]).decrypt(token)
    except InvalidToken:
        return False
    return True


@sensitive_variables()
def reencrypt(token: str) -> str:
    """The same text under the newest key; raises `SecretUnreadableError` if no key fits."""
    return encrypt(decrypt(token))


def stored(name: str) -> "models.ExpressionWrapper[Any]":
    """An encrypted column as it is in the database: the token, not its text."""
    return models.ExpressionWrapper(models.F(name), output_field=models.TextField())


def current_keys() -> Keys:
    """The keys of the present settings, newest first.

    Those derived from ``SECRET_KEY`` come last: what was written before a project had keys of
    its own stays readable.
    """
    derived = (_derive(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
    return (*conf.encryption_keys(), *derived)


@lru_cache(maxsize=16)
def _derive(secret_key: str | bytes) -> str:
    raw = secret_key if isinstance(secret_key, bytes) else secret_key.encode()
    return urlsafe_b64encode(hashlib.sha256(b"django-object-hooks:" + raw).digest()).decode()


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


class EncryptedTextField(_TextField):
    """Text that only code can read: the database and its dumps hold Fernet tokens."""

    description = "Encrypted text"

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way to the database."""
        return None if value is None else encrypt(str(value))

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        """Decrypt on the way back."""
        return None if value is None else decrypt(value)

    def value_to_string(self, obj: models.Model) -> Any:
        """For ``dumpdata``: the token, not what it stands for."""
        return self.get_prep_value(self.value_from_object(obj))

    def to_python(self, value: Any) -> Any:
        """From ``loaddata``: the text that a token stands for."""
        if not isinstance(value, str) or not value.startswith(_TOKEN_PREFIX):
            return value
        try:
            return decrypt(value)
        except SecretUnreadableError as error:
            raise ValidationError(str(error), code="unreadable") from error


class ScheduleField(_JSONField):
    """Delays in seconds before each attempt; whoever writes others gets a ValueError."""

    description = "Retry schedule"

    def get_prep_value(self, value: Any) -> Any:
        """Check it on the way to the database: by a form, ``create()`` or ``update()``."""
        if value is not None and not hasattr(value, "resolve_expression"):
            _check_schedule(value)
        return super().get_prep_value(value)

    def validate(self, value: Any, model_instance: Any) -> None:
        """The same for forms and ``full_clean()``."""
        super().validate(value, model_instance)
        if value is not None:
            try:
                _check_schedule(value)
            except ValueError as error:
                raise ValidationError(str(error)) from error


def _check_schedule(value: Any) -> None:
    if conf.usable_schedule(value) is None:
        raise ValueError(
            f"A hook's retry_schedule must be {conf.A_SCHEDULE}, such as [0, 60, 3600], or None"
            f" for HOOK_RETRY_SCHEDULE; not {value!r}."
        )


class EncryptedHeadersField(EncryptedTextField):
    """A dict of header names and values that only code can read; an empty one is stored as null."""

    description = "Encrypted headers"

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way to the database."""
        return encrypt(json.dumps(value)) if value else None

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        """Decrypt on the way back."""
        return SecretDict(read_headers(value))

    def value_to_string(self, obj: models.Model) -> str:
        """For ``dumpdata``: the token, not what it stands for."""
        return str(self.get_prep_value(self.value_from_object(obj)) or "")

    def to_python(self, value: Any) -> Any:
        """From ``loaddata``: the dict that a token stands for."""
        if not isinstance(value, str):
            return value
        try:
            return SecretDict(read_headers(value))
        except SecretUnreadableError as error:
            text = "Custom headers must be a dict, or a token that one of the keys in use fits."
            raise ValidationError(text, code="headers") from error


class SecretDict(dict[str, str]):
    """A dict whose values stay out of logs and tracebacks."""

    def __repr__(self) -> str:
        return f"<{', '.join(self) or 'no'} (values not shown)>"


def read_headers(token: str | None, keys: Keys | None = None) -> dict[str, str]:
    """The headers that a stored token stands for; raises `SecretUnreadableError` if no key fits."""
    return json.loads(decrypt(token, keys)) if token else {}
