"""The settings of where may be posted to, and how."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from doh.conf.reading import flag, get, listed
from doh.exceptions import HookConfigurationError
from doh.types import WEB_PORTS

#: What the URL of a Redis begins with.
REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "valkey://", "valkeys://")
_PROXY = re.compile(r"https?://[!-~]+")


def allowed_networks() -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks that may be posted to though they are not public."""
    try:
        return tuple(ip_network(str(one)) for one in listed("HOOK_ALLOWED_NETWORKS"))
    except ValueError as error:
        raise HookConfigurationError(
            f"HOOK_ALLOWED_NETWORKS must be a list of networks such as '10.1.0.0/16': {error}."
        ) from error


def allowed_ports() -> tuple[int, ...] | range:
    """Ports that may be posted to."""
    name, value = "HOOK_ALLOWED_PORTS", get("HOOK_ALLOWED_PORTS", WEB_PORTS)
    ports = value if isinstance(value, range) else listed(name, WEB_PORTS)
    bounds = [min(ports), max(ports)] if isinstance(ports, range) and ports else ports
    for port in bounds:
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
            raise HookConfigurationError(f"{name} must hold numbers from 1 to 65535, not {port!r}.")
    return ports


def allow_http() -> bool:
    """Whether targets may start with ``http://``."""
    return flag("HOOK_ALLOW_HTTP", True)


def denied_hosts() -> tuple[str, ...]:
    """Names (with all that is below them), addresses and networks that are never posted to."""
    return tuple(map(str, listed("HOOK_DENIED_HOSTS", ())))


def egress_proxy() -> str | None:
    """URL of the proxy that every POST goes through; None means straight to the receiver."""
    value = get("HOOK_EGRESS_PROXY", None)
    if value is not None and not _PROXY.fullmatch(str(value)):
        # The value may hold a password, so it is not shown.
        raise HookConfigurationError(
            "HOOK_EGRESS_PROXY must be a URL such as 'http://proxy.example.com:3128'."
        )
    return None if value is None else str(value)


def ca_bundle() -> str | None:
    """Path of a PEM file with the certificate authorities to trust; None means certifi's."""
    value = get("HOOK_CA_BUNDLE", None)
    return None if value is None else str(value)


def redis_url() -> str | None:
    """URL of the Redis of the doorbell and of limits; None means the one that Celery uses."""
    value = get("HOOK_REDIS_URL", None)
    if value is not None and not str(value).startswith(REDIS_SCHEMES):
        # The value may hold a password, so it is not shown.
        raise HookConfigurationError(
            "HOOK_REDIS_URL must be a URL such as 'redis://localhost:6379/0'."
        )
    return None if value is None else str(value)
