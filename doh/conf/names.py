"""The names of all settings, to tell one that is misspelt."""

from difflib import get_close_matches
from typing import Final

from django.conf import settings

NAMES: Final = frozenset(
    {
        "HOOK_ALLOWED_MODELS",
        "HOOK_ALLOWED_NETWORKS",
        "HOOK_ALLOWED_PORTS",
        "HOOK_ALLOW_HTTP",
        "HOOK_ATOMIC_SAVES",
        "HOOK_BATCH_SIZE",
        "HOOK_CA_BUNDLE",
        "HOOK_CIRCUIT_BREAKER",
        "HOOK_COLLECTION_DELIVERER",
        "HOOK_CONNECT_TIMEOUT",
        "HOOK_DELIVER_WHERE_COLLECTED",
        "HOOK_DENIED_HOSTS",
        "HOOK_DISABLE_AFTER",
        "HOOK_DOORBELL_PERIOD",
        "HOOK_EGRESS_PROXY",
        "HOOK_ELEMENT_DELIVERER",
        "HOOK_ENCRYPTION_KEYS",
        "HOOK_EVENTLET_CONCURRENCY",
        "HOOK_HEARTBEAT_PATH",
        "HOOK_HUB_SIGNATURE",
        "HOOK_KEEP_DAYS",
        "HOOK_LEASE",
        "HOOK_MAX_IN_FLIGHT",
        "HOOK_MAX_IN_FLIGHT_PER_HOST",
        "HOOK_MAY_RECEIVE",
        "HOOK_METRICS_LISTEN",
        "HOOK_QUEUE_LEASE",
        "HOOK_RATE_LIMIT",
        "HOOK_REDIS_URL",
        "HOOK_RETRY_SCHEDULE",
        "HOOK_RING_TIMEOUT",
        "HOOK_SLICE_SIZE",
        "HOOK_SLOW_AFTER",
        "HOOK_TELEMETRY",
        "HOOK_TOTAL_TIMEOUT",
        "HOOK_WARN_AFTER",
    }
)
#: How alike two names are, as difflib has it, for one to be taken for the other.
_ALIKE = 0.85


def misspelt() -> dict[str, str]:
    """Settings that nobody here reads but are nearly one of ours, each with the one it is nearly.

    Other names that begin alike are left alone: django-rest-hooks has such settings, too.
    """
    found = {}
    for name in dir(settings):
        if name.startswith(("HOOK", "DOH_")) and name not in NAMES:
            for near in get_close_matches(name, NAMES, n=1, cutoff=_ALIKE):
                found[name] = near
    return found
