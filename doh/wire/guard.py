"""The one place that says what may be dialled: both transports ask it, twice, at the socket."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from doh.exceptions import AddressRefusedError, BadTargetError
from doh.types import WEB_PORTS
from doh.wire.addresses import IPAddress, IPNetwork, carried, is_public, parse_address
from doh.wire.target import Target

#: What the owner of a hook reads; it names no address, or a stranger could map our network.
REFUSED: Final = "the target's address is not allowed"
_NAMED_PORTS: Final = 8


class Address(NamedTuple):
    """A resolved address: family, numeric host, port."""

    family: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be posted to. The default is the public internet on the ports of the web.

    ``denied_hosts`` are names, each with everything below it; a denied network is refused even
    where ``allowed_networks`` opens it. With a ``proxy`` it is the proxy that resolves names and
    dials: then only what the URL itself says can be judged here.
    """

    allowed_networks: tuple[IPNetwork, ...] = ()
    allowed_ports: tuple[int, ...] | range = WEB_PORTS
    allow_http: bool = True
    denied_hosts: tuple[str, ...] = ()
    denied_networks: tuple[IPNetwork, ...] = ()
    proxy: str | None = None

    def allows(self, host: str) -> bool:
        """Whether one numeric address may be dialled."""
        address = parse_address(host)
        if address is None or not self._allows(address):
            return False
        inner = carried(address)
        return inner is None or self._allows(inner)

    def refusal(self, target: Target) -> str | None:
        """Why a target is refused before any look-up: its scheme, port or name; None if it isn't.

        Addresses, literal ones too, are judged when they are about to be dialled.
        """
        if target.scheme == "http" and not self.allow_http:
            return "the target must start with https://"
        if target.port not in self.allowed_ports:
            return f"the target's port {target.port} is not allowed{self._other_ports()}"
        if self.denied_hosts and self._denies(target.host):
            return "the target's host is not allowed"
        if self.proxy is not None and self._is_refused_literal(target.host):
            return REFUSED
        return None

    def check(self, target: Target) -> None:
        """Raise `BadTargetError` for a target that is refused before any look-up."""
        refusal = self.refusal(target)
        if refusal is not None:
            raise BadTargetError(refusal)

    def judge(self, found: Iterable[Address]) -> tuple[Address, ...]:
        """All the addresses of a name, or `AddressRefusedError` if any of them is refused.

        Mixed answers are refused whole: a name with one public and one private address is a trap.
        """
        addresses = tuple(found)
        if not all(self.allows(address.host) for address in addresses):
            raise AddressRefusedError(REFUSED)
        return addresses

    def _allows(self, address: IPAddress) -> bool:
        if any(address in network for network in self.denied_networks):
            return False
        return is_public(address) or any(address in network for network in self.allowed_networks)

    def _is_refused_literal(self, host: str) -> bool:
        return parse_address(host) is not None and not self.allows(host)

    def _denies(self, host: str) -> bool:
        return any(host == name or host.endswith(f".{name}") for name in self.denied_hosts)

    def _other_ports(self) -> str:
        """Which ports are allowed, where they are few."""
        if not 0 < len(self.allowed_ports) <= _NAMED_PORTS:
            return ""
        return f": use one of {', '.join(map(str, self.allowed_ports))}"


#: The policy of a project that sets nothing.
INTERNET: Final = Policy()


def numeric(host: str, port: int) -> Address | None:
    """The address that a literal host is; None for a name."""
    address = parse_address(host)
    if address is None:
        return None
    return Address(socket.AF_INET if address.version == 4 else socket.AF_INET6, host, port)
