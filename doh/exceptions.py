"""Every exception of the package, root to leaves."""

import traceback
from typing import Final

from django.core.exceptions import ImproperlyConfigured

#: Errors of a chain that a log names.
_CAUSES: Final = 5


class HookConfigurationError(ImproperlyConfigured):
    """A setting can't be used.

    It stands outside `HookError`, so that ignoring delivery failures never hides it.
    """


class HookError(Exception):
    """Something about hooks went wrong."""


class PayloadError(HookError):
    """A payload method or ``dump_payload`` failed."""


class BadTargetError(HookError):
    """The target is no URL that can or may be posted to."""


class BadHeadersError(HookError):
    """A custom header that can't be sent."""


class BadRateError(HookError):
    """A text stands for no rate."""


class SecretUnreadableError(HookError):
    """A stored secret can't be decrypted with any of the keys in use, or is none to sign with."""


class AddressRefusedError(HookError):
    """The target's address may not be dialled."""


class VerificationError(HookError):
    """A message that came is not to be believed; the text says which part is wrong."""


class HeaderMissingError(VerificationError):
    """One of the three ``webhook-*`` headers is missing."""


class TimestampError(VerificationError):
    """The message's time can't be read, or is too far off: it may be an old one, sent again."""


class SignatureMismatchError(VerificationError):
    """No signature of the message fits any of the secrets."""


def stack_of(error: BaseException) -> str:
    """Where an error came from, for the log: its kind and its stack, but not its words.

    In code of the project's own those may quote a target, a payload or a header; in a database's,
    the row that it refused.
    """
    names, cause = [_kind_of(error)], error.__cause__ or error.__context__
    while cause is not None and len(names) < _CAUSES:
        names.append(_kind_of(cause))
        cause = cause.__cause__ or cause.__context__
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{' from '.join(names)}\n{frames}".rstrip()


def _kind_of(error: BaseException) -> str:
    """Its class; of a database's refusal also the code, and the constraint that was violated."""
    refusal = (
        getattr(error, "sqlstate", None),
        getattr(getattr(error, "diag", None), "constraint_name", None),
    )
    told = " ".join(str(part) for part in refusal if part)
    return f"{type(error).__name__} ({told})" if told else type(error).__name__


def reason_of(error: BaseException) -> str:
    """What went wrong in code of the project's own, as text that every database can store."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode(errors="replace").decode()
