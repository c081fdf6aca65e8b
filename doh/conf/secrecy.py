"""The settings of who may receive, and of what is signed and encrypted."""

from base64 import urlsafe_b64decode
from functools import lru_cache

from doh.conf.reading import flag, get, path
from doh.exceptions import HookConfigurationError


def encryption_keys() -> tuple[str, ...]:
    """Fernet keys for secrets at rest, newest first; empty means derived from ``SECRET_KEY``."""
    value = get("HOOK_ENCRYPTION_KEYS", ())
    if not isinstance(value, list | tuple):
        raise HookConfigurationError(
            "HOOK_ENCRYPTION_KEYS must be a list of Fernet keys, newest first, not a"
            f" {type(value).__name__}."
        )
    return tuple(_fernet_key(position, key) for position, key in enumerate(value))


def _fernet_key(position: int, key: object) -> str:
    """One key as text; the error names its place and never the key."""
    text = key.decode("latin-1") if isinstance(key, bytes) else key
    if not isinstance(text, str) or not _is_fernet_key(text):
        raise HookConfigurationError(
            f"HOOK_ENCRYPTION_KEYS[{position}] is no Fernet key (the URL-safe base64 of 32 bytes):"
            " make one with cryptography.fernet.Fernet.generate_key()."
        )
    return text


@lru_cache(maxsize=64)
def _is_fernet_key(text: str) -> bool:
    try:
        return len(urlsafe_b64decode(text)) == 32
    except ValueError:
        return False


def may_receive() -> str | None:
    """Dotted path of the callable that says which pairs of a batch may be sent; None: all."""
    if get("HOOK_MAY_RECEIVE", None) is None:
        return None
    return path("HOOK_MAY_RECEIVE", "project.hooks.may_receive")


def hub_signature() -> bool:
    """Whether a POST also carries GitHub's form of a signature, ``X-Hub-Signature-256``."""
    return flag("HOOK_HUB_SIGNATURE", False)
