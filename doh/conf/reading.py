"""Read one setting; what can't be used is named with its mend."""

from typing import Any

from django.conf import settings

from doh.exceptions import HookConfigurationError


def get(name: str, default: Any) -> Any:
    """The setting as it stands, or the default."""
    return getattr(settings, name, default)


def positive(name: str, default: float) -> float:
    """A number above zero."""
    value = get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise HookConfigurationError(f"{name} must be a number above zero, not {value!r}.")
    return float(value)


def days(name: str, default: float) -> float | None:
    """A number above zero, or None."""
    return None if get(name, default) is None else positive(name, default)


def whole(name: str, default: int) -> int:
    """A whole number above zero."""
    value = get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise HookConfigurationError(f"{name} must be a whole number above zero, not {value!r}.")
    return value


def flag(name: str, default: bool) -> bool:
    """True or False: a text is always true, "no" too."""
    value = get(name, default)
    if not isinstance(value, bool):
        raise HookConfigurationError(f"{name} must be True or False, not {value!r}.")
    return value


def listed(name: str, default: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """A list of anything."""
    value = get(name, default)
    if not isinstance(value, list | tuple | set | frozenset):
        raise HookConfigurationError(f"{name} must be a list, not {value!r}.")
    return tuple(value)


def path(name: str, default: str) -> str:
    """A dotted path."""
    value = get(name, default)
    if not isinstance(value, str) or not value:
        raise HookConfigurationError(
            f"{name} must be the dotted path of a callable, such as {default!r}, not {value!r}."
        )
    return value
