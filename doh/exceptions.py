"""Every exception of the package, root to leaves."""

from django.core.exceptions import ImproperlyConfigured


class HookConfigurationError(ImproperlyConfigured):
    """A setting can't be used.

    It stands outside `HookError`, so that ignoring delivery failures never hides it.
    """


class HookError(Exception):
    """Something about hooks went wrong."""


class PayloadError(HookError):
    """A payload method or ``dump_payload`` failed."""


class BadTargetError(HookError):
    """The stored target is no URL that can be posted to."""


class SecretUnreadableError(HookError):
    """A stored secret can't be decrypted with any of the keys in use, or is none to sign with."""


class AddressRefusedError(HookError):
    """The target's address may not be dialled."""


def reason_of(error: BaseException) -> str:
    """What went wrong in code of the project's own, as text that every database can store."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode(errors="replace").decode()
