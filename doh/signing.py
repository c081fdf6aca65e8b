"""The part of a hook that signs: its secret, how it is replaced, and what a receiver needs."""

import time
from base64 import b64decode
from datetime import timedelta
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from doh.exceptions import SecretUnreadableError
from doh.fields import EncryptedTextField, decrypt, stored
from doh.wire.signing import (
    GRACE,
    PRIVATE_PREFIX,
    SECRET_PREFIX,
    Keyring,
    Scheme,
    new_secret,
    public_key,
    scheme_of,
)

#: Bytes that a shared secret may have, and an ed25519 key: without and with its public one.
_SHARED_BYTES = range(24, 65)
_PRIVATE_BYTES = (32, 64)


def validate_secret(value: str) -> None:
    """Refuse a secret that can't be signed with, without quoting it."""
    prefix, _sep, encoded = value.partition("_")
    try:
        size = len(b64decode(encoded, validate=True))
    except ValueError:
        size = 0
    if size not in {SECRET_PREFIX: _SHARED_BYTES, PRIVATE_PREFIX: _PRIVATE_BYTES}.get(
        f"{prefix}_", ()
    ):
        raise ValidationError(
            _(
                "Not a usable secret: it must be whsec_ and the base64 of 24 to 64 bytes,"
                " or whsk_ and the base64 of an ed25519 key (32 or 64 bytes)."
            )
        )


class Signed(models.Model):
    """A row whose messages are signed.

    ``secret`` is ``whsec_…`` (shared with the receiver) or ``whsk_…`` (ed25519); ``old_secrets``
    holds those that it replaced, until their grace is over.
    """

    secret = EncryptedTextField(default=new_secret, editable=False, validators=[validate_secret])
    old_secrets = EncryptedTextField(null=True, blank=True, editable=False)

    #: The columns that only whoever signs needs to read.
    ENCRYPTED: ClassVar[tuple[str, ...]] = ("secret", "old_secrets")

    class Meta:
        abstract = True

    @property
    def scheme(self) -> str:
        """``v1`` (a shared secret) or ``v1a`` (ed25519)."""
        return scheme_of(self.secret).value

    @scheme.setter
    def scheme(self, value: str) -> None:
        wanted = _known_scheme(value)
        if wanted is scheme_of(self.secret):
            return
        if not self._state.adding:
            raise ValueError("Call rotate_secret(scheme) to change how a saved hook signs.")
        self.secret = new_secret(wanted)

    @property
    def public_key(self) -> str | None:
        """What a receiver verifies ``v1a`` signatures with (``whpk_…``); None under ``v1``."""
        return public_key(self.secret)

    @sensitive_variables()
    def rotate_secret(
        self, scheme: str | None = None, *, grace: timedelta = timedelta(seconds=GRACE)
    ) -> str:
        """Sign with a new secret from now on, and return it; the old one signs beside it for 24 h.

        ``scheme`` changes to ``v1`` or ``v1a``. ``grace=timedelta(0)`` ends every old secret at
        once: for one that leaked. A secret that can't be decrypted any more is just replaced.
        """
        wanted = None if scheme is None else _known_scheme(scheme)
        rows: Any = type(self)._base_manager.using(self._state.db).filter(pk=self.pk)
        with transaction.atomic(using=rows.db):
            columns = map(stored, ("secret", "old_secrets"))
            present = _keyring(*rows.select_for_update().values_list(*columns).get())
            secret = new_secret(wanted or scheme_of(present.secret))
            kept = present.replaced(secret, int(time.time()), int(grace.total_seconds()))
            self.secret, self.old_secrets = secret, kept.dump_old()
            rows.update(secret=self.secret, old_secrets=self.old_secrets)
        return secret


def _known_scheme(value: str) -> Scheme:
    try:
        return Scheme(value)
    except ValueError:
        raise ValueError(
            f"scheme must be 'v1' (a shared secret) or 'v1a' (ed25519), not {value!r}."
        ) from None


def _keyring(token: str, old_token: str | None) -> Keyring:
    """What a row signs with; of what can't be read, nothing is kept."""
    try:
        return Keyring.of(decrypt(token), None if old_token is None else decrypt(old_token))
    except SecretUnreadableError:
        return Keyring("")
