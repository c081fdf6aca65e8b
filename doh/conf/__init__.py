"""The ``HOOK_*`` settings: every one is read in this room, at the moment it is asked for."""

import os
from collections.abc import Sequence

from doh.conf.names import misspelt
from doh.conf.network import (
    REDIS_SCHEMES,
    allow_http,
    allowed_networks,
    allowed_ports,
    ca_bundle,
    denied_hosts,
    egress_proxy,
    redis_url,
)
from doh.conf.reading import days, flag, get, path, positive, whole
from doh.conf.secrecy import encryption_keys, hub_signature, may_receive
from doh.exceptions import HookConfigurationError
from doh.limits import CircuitBreaker, RateLimit, read_breaker, read_rate_limit

__all__ = [
    "A_SCHEDULE",
    "LEASE_MARGIN",
    "REDIS_SCHEMES",
    "STANDARD_SCHEDULE",
    "address_of",
    "allow_http",
    "allowed_models",
    "allowed_networks",
    "allowed_ports",
    "atomic_saves",
    "batch_size",
    "ca_bundle",
    "circuit_breaker",
    "collection_deliverer",
    "connect_timeout",
    "deliver_where_collected",
    "denied_hosts",
    "disable_after",
    "doorbell_period",
    "egress_proxy",
    "element_deliverer",
    "encryption_keys",
    "eventlet_concurrency",
    "heartbeat_path",
    "hub_signature",
    "keep_days",
    "lease",
    "max_in_flight",
    "max_in_flight_per_host",
    "may_receive",
    "metrics_listen",
    "misspelt",
    "queue_lease",
    "rate_limit",
    "redis_url",
    "rest_hooks_events",
    "retry_schedule",
    "ring_timeout",
    "sending_window",
    "slice_size",
    "slow_after",
    "telemetry",
    "total_timeout",
    "usable_schedule",
    "warn_after",
]

#: Delay in seconds before each attempt, from the Standard Webhooks specification 1.0.0.
STANDARD_SCHEDULE = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)

#: A POST starts only while its claim outlives the total timeout by this many seconds; a short
#: lease keeps a quarter of itself instead.
LEASE_MARGIN = 5.0

#: Attempts that a schedule may have at most, and seconds that one of its delays may last.
_MOST_ATTEMPTS = 1_000
_LONGEST_DELAY = 366 * 86_400
A_SCHEDULE = f"a list of 1 to {_MOST_ATTEMPTS} delays in seconds, none longer than a year"


def allowed_models() -> list[str]:
    """``app.Model`` labels whose saves and deletes are events."""
    value = get("HOOK_ALLOWED_MODELS", ())
    labels = value if isinstance(value, list | tuple | set | frozenset) else [None]
    if not all(isinstance(label, str) for label in labels):
        raise HookConfigurationError(
            f"HOOK_ALLOWED_MODELS must be a list of 'app.Model' labels, not {value!r}."
        )
    return list(labels)


def collection_deliverer() -> str:
    """Dotted path of the callable that an event is handed to."""
    return path("HOOK_COLLECTION_DELIVERER", "doh.deliverers.deliver_hooks")


def element_deliverer() -> str:
    """Dotted path of the callable that one target and payload are handed to."""
    return path("HOOK_ELEMENT_DELIVERER", "doh.deliverers.deliver_hook")


def atomic_saves() -> bool:
    """Whether a save of an allowed model and its event share one transaction.

    Anything is taken for true or false: a save must not fail for a setting.
    """
    return bool(get("HOOK_ATOMIC_SAVES", True))


def retry_schedule() -> Sequence[float]:
    """Seconds to wait before attempt 1, 2, 3 and so on; its length is the number of attempts."""
    value = get("HOOK_RETRY_SCHEDULE", STANDARD_SCHEDULE)
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
    return days("HOOK_WARN_AFTER", 2)


def disable_after() -> float | None:
    """Days that a hook fails until it is disabled; None: never."""
    return days("HOOK_DISABLE_AFTER", 5)


def connect_timeout() -> float:
    """Seconds until a connection must stand, TLS included."""
    return positive("HOOK_CONNECT_TIMEOUT", 5)


def total_timeout() -> float:
    """Seconds until the last byte of the answer must have come."""
    return positive("HOOK_TOTAL_TIMEOUT", 15)


def lease() -> float:
    """Seconds that a claimed row stays with its claimant unless it is renewed."""
    value = positive("HOOK_LEASE", 60)
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
    return positive("HOOK_QUEUE_LEASE", 600)


def batch_size() -> int:
    """Pairs of event and hook that are sent together."""
    return whole("HOOK_BATCH_SIZE", 2_000)


def slice_size() -> int:
    """Pairs that one fan-out transaction writes at most."""
    return whole("HOOK_SLICE_SIZE", 20_000)


def deliver_where_collected() -> bool | None:
    """Whether the worker that collects an event sends to its hooks itself if they are few.

    None leaves it to the worker: if it is one that sends anyway.
    """
    name = "HOOK_DELIVER_WHERE_COLLECTED"
    return None if get(name, None) is None else flag(name, False)


def max_in_flight() -> int:
    """POSTs that one worker process has under way at most."""
    return whole("HOOK_MAX_IN_FLIGHT", 2_000)


def max_in_flight_per_host() -> int:
    """POSTs that one worker process has under way to one host at most."""
    return whole("HOOK_MAX_IN_FLIGHT_PER_HOST", 100)


def rate_limit() -> RateLimit:
    """Rates that hold across all workers, beside those of single hooks."""
    return read_rate_limit("HOOK_RATE_LIMIT", get("HOOK_RATE_LIMIT", {}))


def circuit_breaker() -> CircuitBreaker | None:
    """When the circuit to a host opens, and for how long; None: never."""
    value = get("HOOK_CIRCUIT_BREAKER", {})
    return read_breaker("HOOK_CIRCUIT_BREAKER", value) if value is not None else None


def slow_after() -> float:
    """Seconds to an answer, on average, from which a host's deliveries go on the slow lane."""
    return positive("HOOK_SLOW_AFTER", 2)


def eventlet_concurrency() -> int:
    """POSTs that the eventlet deliverer has under way at most."""
    return whole("HOOK_EVENTLET_CONCURRENCY", 100)


def doorbell_period() -> float:
    """Seconds in which at most one ``collect`` message is published."""
    return positive("HOOK_DOORBELL_PERIOD", 5)


def ring_timeout() -> float:
    """Seconds that ringing may take from a committing request before it is left to the sweep."""
    return positive("HOOK_RING_TIMEOUT", 0.2)


def telemetry() -> bool:
    """Whether OpenTelemetry is told of what happens."""
    return bool(get("HOOK_TELEMETRY", False)) or get("HOOK_METRICS_LISTEN", None) is not None


def metrics_listen() -> tuple[str, int] | None:
    """Host and first port that worker processes offer their metrics at; None for no endpoint."""
    value = get("HOOK_METRICS_LISTEN", None)
    return None if value is None else address_of("HOOK_METRICS_LISTEN", value)


def heartbeat_path() -> str | None:
    """File that a worker touches while it turns and reaches its broker; None for no file."""
    value = get("HOOK_HEARTBEAT_PATH", None)
    if value is not None and not isinstance(value, str | os.PathLike):
        raise HookConfigurationError(f"HOOK_HEARTBEAT_PATH must be a path, not {value!r}.")
    return None if value is None else os.fspath(value)


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
    return positive("HOOK_KEEP_DAYS", 30)


def rest_hooks_events() -> dict[str, str | None]:
    """``HOOK_EVENTS``: the setting of django-rest-hooks, for `doh_import`."""
    value = get("HOOK_EVENTS", {})
    if not isinstance(value, dict):
        raise HookConfigurationError(
            f"HOOK_EVENTS must be a dict of event names and 'app.Model.action', not {value!r}."
        )
    return value
