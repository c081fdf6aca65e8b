"""The ``HOOK_*`` settings: every one is read here, at the moment it is asked for."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.conf import settings

from doh.exceptions import HookConfigurationError
from doh.limits import CircuitBreaker, RateLimit, read_breaker, read_rate_limit
from doh.types import WEB_PORTS

#: Delay in seconds before each attempt, from the Standard Webhooks specification 1.0.0.
STANDARD_SCHEDULE = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)

#: A POST starts only while its claim outlives the total timeout by this many seconds; a short
#: lease keeps a quarter of itself instead.
LEASE_MARGIN = 5.0

#: Attempts that a schedule may have at most, and seconds that one of its delays may last.
_MOST_ATTEMPTS = 1_000
_LONGEST_DELAY = 366 * 86_400
A_SCHEDULE = f"a list of 1 to {_MOST_ATTEMPTS} delays in seconds, none longer than a year"

_PROXY = re.compile(r"https?://[!-~]+")


def _get(name: str, default: Any) -> Any:
    return getattr(settings, name, default)


def _positive(name: str, default: float) -> float:
    value = _get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise HookConfigurationError(f"{name} must be a number above zero, not {value!r}.")
    return float(value)


def _days(name: str, default: float) -> float | None:
    return None if _get(name, default) is None else _positive(name, default)


def _whole(name: str, default: int) -> int:
    value = _get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise HookConfigurationError(f"{name} must be a whole number above zero, not {value!r}.")
    return value


def _listed(name: str, default: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    value = _get(name, default)
    if not isinstance(value, list | tuple | set | frozenset):
        raise HookConfigurationError(f"{name} must be a list, not {value!r}.")
    return tuple(value)


def _path(name: str, default: str) -> str:
    value = _get(name, default)
    if not isinstance(value, str) or not value:
        raise HookConfigurationError(
            f"{name} must be the dotted path of a callable, such as {default!r}, not {value!r}."
        )
    return value


def allowed_models() -> list[str]:
    """``app.Model`` labels whose saves and deletes are events."""
    value = _get("HOOK_ALLOWED_MODELS", ())
    if isinstance(value, str) or not all(isinstance(label, str) for label in value):
        raise HookConfigurationError(
            f"HOOK_ALLOWED_MODELS must be a list of 'app.Model' labels, not {value!r}."
        )
    return list(value)


def collection_deliverer() -> str:
    """Dotted path of the callable that an event is handed to."""
    return _path("HOOK_COLLECTION_DELIVERER", "doh.deliverers.deliver_hooks")


def element_deliverer() -> str:
    """Dotted path of the callable that one target and payload are handed to."""
    return _path("HOOK_ELEMENT_DELIVERER", "doh.deliverers.deliver_hook")


def atomic_saves() -> bool:
    """Whether a save of an allowed model and its event share one transaction."""
    return bool(_get("HOOK_ATOMIC_SAVES", True))


def retry_schedule() -> Sequence[float]:
    """Seconds to wait before attempt 1, 2, 3 and so on; its length is the number of attempts."""
    value = _get("HOOK_RETRY_SCHEDULE", STANDARD_SCHEDULE)
    # The default needs no check, and it is asked for once for every hook of a batch.
    checked = STANDARD_SCHEDULE if value is STANDARD_SCHEDULE else usable_schedule(value)
    if checked is None:
        raise HookConfigurationError(
            f"HOOK_RETRY_SCHEDULE must be {A_SCHEDULE}, such as [0, 60, 3600], not {value!r}."
        )
    return checked


def usable_schedule(value: object) -> tuple[float, ...] | None:
    """The delays of a schedule; None if it is none."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MOST_ATTEMPTS:
        return None
    numbers = [one for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < len(value) or not all(0 <= one <= _LONGEST_DELAY for one in numbers):
        return None
    return tuple(numbers)


def warn_after() -> float | None:
    """Days that a hook fails until `doh.signals.hook_failing` is sent; None: never."""
    return _days("HOOK_WARN_AFTER", 2)


def disable_after() -> float | None:
    """Days that a hook fails until it is disabled; None: never."""
    return _days("HOOK_DISABLE_AFTER", 5)


def connect_timeout() -> float:
    """Seconds until a connection must stand, TLS included."""
    return _positive("HOOK_CONNECT_TIMEOUT", 5)


def total_timeout() -> float:
    """Seconds until the last byte of the answer must have come."""
    return _positive("HOOK_TOTAL_TIMEOUT", 15)


def lease() -> float:
    """Seconds that a claimed row stays with its claimant unless it is renewed."""
    value = _positive("HOOK_LEASE", 60)
    if value <= total_timeout() + _margin(value):
        raise HookConfigurationError(
            f"HOOK_LEASE ({value:g} s) must exceed HOOK_TOTAL_TIMEOUT ({total_timeout():g} s)"
            f" by more than {_margin(value):g} s: a POST never outlives its claim."
        )
    return value


def sending_window() -> float:
    """Seconds after a claim in which a POST may still start."""
    return lease() - total_timeout() - _margin(lease())


def _margin(lease_seconds: float) -> float:
    return min(LEASE_MARGIN, lease_seconds / 4)


def queue_lease() -> float:
    """Seconds that a batch may wait in the broker before the sweep rings for it again."""
    return _positive("HOOK_QUEUE_LEASE", 600)


def batch_size() -> int:
    """Pairs of event and hook that are sent together."""
    return _whole("HOOK_BATCH_SIZE", 500)


def slice_size() -> int:
    """Pairs that one fan-out transaction writes at most."""
    return _whole("HOOK_SLICE_SIZE", 20_000)


def deliver_where_collected() -> bool:
    """Whether the process that collects an event sends to its hooks itself if they are few."""
    return bool(_get("HOOK_DELIVER_WHERE_COLLECTED", False))


def max_in_flight() -> int:
    """POSTs that one worker process has under way at most."""
    return _whole("HOOK_MAX_IN_FLIGHT", 2_000)


def max_in_flight_per_host() -> int:
    """POSTs that one worker process has under way to one host at most."""
    return _whole("HOOK_MAX_IN_FLIGHT_PER_HOST", 100)


def rate_limit() -> RateLimit:
    """Rates that hold across all workers, beside those of single hooks."""
    return read_rate_limit("HOOK_RATE_LIMIT", _get("HOOK_RATE_LIMIT", {}))


def circuit_breaker() -> CircuitBreaker | None:
    """When the circuit to a host opens, and for how long; None: never."""
    value = _get("HOOK_CIRCUIT_BREAKER", {})
    return read_breaker("HOOK_CIRCUIT_BREAKER", value) if value is not None else None


def slow_after() -> float:
    """Seconds to an answer, on average, from which a host's deliveries go on the slow lane."""
    return _positive("HOOK_SLOW_AFTER", 2)


def eventlet_concurrency() -> int:
    """POSTs that the eventlet deliverer has under way at most."""
    return _whole("HOOK_EVENTLET_CONCURRENCY", 100)


def doorbell_period() -> float:
    """Seconds in which at most one ``collect`` message is published."""
    return _positive("HOOK_DOORBELL_PERIOD", 5)


def ring_timeout() -> float:
    """Seconds that ringing may take from a committing request before it is left to the sweep."""
    return _positive("HOOK_RING_TIMEOUT", 0.2)


def redis_url() -> str | None:
    """Redis of the doorbell; None means the one that Celery uses."""
    value = _get("HOOK_REDIS_URL", None)
    return None if value is None else str(value)


def telemetry() -> bool:
    """Whether OpenTelemetry is told of what happens."""
    return bool(_get("HOOK_TELEMETRY", False)) or _get("HOOK_METRICS_LISTEN", None) is not None


def metrics_listen() -> tuple[str, int] | None:
    """Host and first port that worker processes offer their metrics at; None for no endpoint."""
    value = _get("HOOK_METRICS_LISTEN", None)
    return None if value is None else address_of("HOOK_METRICS_LISTEN", value)


def address_of(name: str, value: object) -> tuple[str, int]:
    """Host and port of an address to listen at."""
    host, _, port = str(value).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise HookConfigurationError(
            f"{name} must be 'address:port', such as '127.0.0.1:9810', not {value!r}."
        )
    return host.strip("[]"), int(port)


def keep_days() -> float:
    """Days that settled events stay in the ledger."""
    return _positive("HOOK_KEEP_DAYS", 30)


def encryption_keys() -> tuple[str, ...]:
    """Fernet keys for secrets at rest, newest first; empty means derived from ``SECRET_KEY``."""
    value = _get("HOOK_ENCRYPTION_KEYS", ())
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
    if _get("HOOK_MAY_RECEIVE", None) is None:
        return None
    return _path("HOOK_MAY_RECEIVE", "project.hooks.may_receive")


def hub_signature() -> bool:
    """Whether a POST also carries GitHub's form of a signature, ``X-Hub-Signature-256``."""
    value = _get("HOOK_HUB_SIGNATURE", False)
    if not isinstance(value, bool):
        raise HookConfigurationError(f"HOOK_HUB_SIGNATURE must be True or False, not {value!r}.")
    return value


def ca_bundle() -> str | None:
    """Path of a PEM file with the certificate authorities to trust; None means certifi's."""
    value = _get("HOOK_CA_BUNDLE", None)
    return None if value is None else str(value)


def rest_hooks_events() -> dict[str, str | None]:
    """``HOOK_EVENTS``: the setting of django-rest-hooks, for `doh_import`."""
    value = _get("HOOK_EVENTS", {})
    if not isinstance(value, dict):
        raise HookConfigurationError(
            f"HOOK_EVENTS must be a dict of event names and 'app.Model.action', not {value!r}."
        )
    return value


def allowed_networks() -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks that may be posted to though they are not public."""
    try:
        return tuple(ip_network(str(one)) for one in _listed("HOOK_ALLOWED_NETWORKS"))
    except ValueError as error:
        raise HookConfigurationError(
            f"HOOK_ALLOWED_NETWORKS must be a list of networks such as '10.1.0.0/16': {error}."
        ) from error


def allowed_ports() -> tuple[int, ...] | range:
    """Ports that may be posted to."""
    name, value = "HOOK_ALLOWED_PORTS", _get("HOOK_ALLOWED_PORTS", WEB_PORTS)
    ports = value if isinstance(value, range) else _listed(name, WEB_PORTS)
    bounds = [min(ports), max(ports)] if isinstance(ports, range) and ports else ports
    for port in bounds:
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
            raise HookConfigurationError(f"{name} must hold numbers from 1 to 65535, not {port!r}.")
    return ports


def allow_http() -> bool:
    """Whether targets may start with ``http://``."""
    return bool(_get("HOOK_ALLOW_HTTP", True))


def denied_hosts() -> tuple[str, ...]:
    """Names (with all that is below them), addresses and networks that are never posted to."""
    return tuple(map(str, _listed("HOOK_DENIED_HOSTS", ())))


def egress_proxy() -> str | None:
    """URL of the proxy that every POST goes through; None means straight to the receiver."""
    value = _get("HOOK_EGRESS_PROXY", None)
    if value is not None and not _PROXY.fullmatch(str(value)):
        # The value may hold a password, so it is not shown.
        raise HookConfigurationError(
            "HOOK_EGRESS_PROXY must be a URL such as 'http://proxy.example.com:3128'."
        )
    return None if value is None else str(value)
