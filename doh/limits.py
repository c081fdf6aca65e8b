"""Limits as people write them: rates such as ``10/s``, and the terms of a circuit breaker."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.db import models

from doh.exceptions import BadRateError, HookConfigurationError

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField

_RATE_LENGTH: Final = 12
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_PATTERN: Final = re.compile(r"([1-9][0-9]{0,8})/([smh])")


class Rate(NamedTuple):
    """So many in so many seconds."""

    number: int
    seconds: int

    @property
    def period(self) -> float:
        """Seconds between two of them."""
        return self.seconds / self.number

    @property
    def burst(self) -> int:
        """How many may come at once after a pause: what one second allows, and at least one."""
        return max(1, self.number // self.seconds)


class RateLimit(NamedTuple):
    """Rates of everything together, of each host, and of hosts by name; None: no limit."""

    everything: Rate | None
    each_host: Rate | None
    hosts: Mapping[str, Rate | None]

    def of_host(self, endpoint: str) -> Rate | None:
        """The rate of one host; its name with the port comes before the name alone."""
        for name in (endpoint, endpoint.rsplit(":", 1)[0]):
            if name in self.hosts:
                return self.hosts[name]
        return self.each_host


class CircuitBreaker(NamedTuple):
    """Opens after so many ``failures`` in a row, or a ``share`` of at least ``least`` POSTs.

    The latter within ``window`` seconds. It is open for ``pause`` seconds, then twice that, up to
    ``longest_pause``, as often as the probe after it fails.
    """

    failures: float = 5
    share: float = 0.7
    least: float = 10
    window: float = 300.0
    pause: float = 30.0
    longest_pause: float = 3600.0


@lru_cache(maxsize=4096)
def parse_rate(text: str) -> Rate:
    """The rate that a text stands for; raises `BadRateError` saying how to write one."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise BadRateError(
            f"{text!r} is no rate: write a whole number above zero and a unit, such as"
            " '10/s', '600/m' or '1000/h'"
        )
    return Rate(int(found[1]), _SECONDS[found[2]])


def validate_rate(value: str) -> None:
    """Refuse a text that is no rate, saying how to write one."""
    try:
        parse_rate(value)
    except BadRateError as error:
        raise ValidationError(f"{error}.") from error


class RateField(_CharField):
    """A rate, or nothing; what is neither can't be saved."""

    description = "Rate"
    default_validators = [validate_rate]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", _RATE_LENGTH)
        super().__init__(*args, **kwargs)

    def get_prep_value(self, value: Any) -> Any:
        """Refuse what is no rate, whatever way it came."""
        if value:
            validate_rate(value)
        return super().get_prep_value(value)


def read_rate_limit(name: str, value: Any) -> RateLimit:
    """The rates in a setting; raises `HookConfigurationError` naming the place of a mistake."""
    _check_keys(name, value, ("global", "host", "hosts"))
    hosts = value.get("hosts", {})
    if not isinstance(hosts, Mapping):
        raise HookConfigurationError(
            f"{name}['hosts'] must be a dict of host and rate, not {hosts!r}."
        )
    return RateLimit(
        everything=_read_rate(f"{name}['global']", value.get("global")),
        each_host=_read_rate(f"{name}['host']", value.get("host")),
        hosts={
            str(host).lower(): _read_rate(f"{name}['hosts'][{host!r}]", rate)
            for host, rate in hosts.items()
        },
    )


def read_breaker(name: str, value: Any) -> CircuitBreaker:
    """The terms in a setting; raises `HookConfigurationError` naming the place of a mistake."""
    _check_keys(name, value, CircuitBreaker._fields)
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
            raise HookConfigurationError(
                f"{name}[{key!r}] must be a number above zero, not {number!r}."
            )
    return CircuitBreaker(**value)


def _check_keys(name: str, value: Any, keys: Sequence[str]) -> None:
    if not isinstance(value, Mapping) or not set(value) <= set(keys):
        raise HookConfigurationError(
            f"{name} must be a dict with no other keys than {', '.join(map(repr, keys))},"
            f" not {value!r}."
        )


def _read_rate(name: str, value: Any) -> Rate | None:
    if value is None:
        return None
    try:
        return parse_rate(str(value))
    except BadRateError as error:
        raise HookConfigurationError(f"{name}: {error}.") from error
