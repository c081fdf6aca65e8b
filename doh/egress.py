"""The guard's policy, as the settings have it now."""

from functools import lru_cache
from ipaddress import ip_network

from doh import conf
from doh.exceptions import BadTargetError, HookConfigurationError
from doh.wire.addresses import IPNetwork
from doh.wire.guard import Policy
from doh.wire.target import parse_host


def policy() -> Policy:
    """What may be posted to; raises `HookConfigurationError` for a setting that can't be used."""
    return _policy(
        conf.allowed_networks(),
        conf.allowed_ports(),
        conf.allow_http(),
        conf.denied_hosts(),
        conf.egress_proxy(),
    )


@lru_cache(maxsize=16)
def _policy(
    networks: tuple[IPNetwork, ...],
    ports: tuple[int, ...] | range,
    http: bool,
    denied: tuple[str, ...],
    proxy: str | None,
) -> Policy:
    read = [_read_denied(entry) for entry in denied]
    return Policy(
        allowed_networks=networks,
        allowed_ports=ports,
        allow_http=http,
        denied_hosts=tuple(one for one in read if isinstance(one, str)),
        denied_networks=tuple(one for one in read if not isinstance(one, str)),
        proxy=proxy,
    )


def _read_denied(entry: str) -> str | IPNetwork:
    try:
        return ip_network(entry)
    except ValueError:
        pass
    try:
        return parse_host(entry.removeprefix("."))
    except BadTargetError as error:
        raise HookConfigurationError(
            f"HOOK_DENIED_HOSTS must hold names, addresses and networks, not {entry!r}: {error}."
        ) from error
