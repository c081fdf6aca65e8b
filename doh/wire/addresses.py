"""Which numeric addresses are public: a frozen table of our own, the same on every Python.

``ipaddress.is_global`` changes between patch releases and calls a score of special ranges global.
The table follows the IANA special-purpose registries of IPv4 and IPv6
(https://www.iana.org/assignments/iana-ipv4-special-registry/) and denies a little more.
"""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_DENIED_4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; clouds keep metadata here
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "168.63.129.16/32",  # a cloud's metadata on a public address
    )
)
#: Of IPv6 only this is handed out to anybody; the rest is loopback, private, or of no host.
_GLOBAL_6: Final = IPv6Network("2000::/3")
_DENIED_6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
#: The upper half of an interface id that carries an IPv4 address: ISATAP, RFC 5214.
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)


def _low(value: int) -> int:
    return value & 0xFFFF_FFFF


#: Where other ranges carry an IPv4 address that a gateway or the kernel would go on to dial.
_CARRIERS: Final[tuple[tuple[IPv6Network, Callable[[int], int]], ...]] = (
    (IPv6Network("::/96"), _low),  # compatible, RFC 4291
    (IPv6Network("::ffff:0:0/96"), _low),  # mapped, RFC 4291
    (IPv6Network("::ffff:0:0:0/96"), _low),  # translated, RFC 2765
    (IPv6Network("64:ff9b::/96"), _low),  # NAT64, RFC 6052
    (IPv6Network("64:ff9b:1::/48"), _low),  # NAT64 of a site, RFC 8215
    (IPv6Network("2001::/32"), lambda value: _low(~value)),  # Teredo, RFC 4380
    (IPv6Network("2002::/16"), lambda value: _low(value >> 80)),  # 6to4, RFC 3056
)
#: The unspecified address and loopback lie among the compatible ones and carry nothing.
_NO_CARRIERS: Final = IPv6Network("::/127")


@lru_cache(maxsize=65_536)
def parse_address(text: str) -> IPAddress | None:
    """The address that a text is, in the strict notation; None for a name or a scoped address."""
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_public(address: IPAddress) -> bool:
    """Whether an address may belong to a host of somebody on the internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _DENIED_4)
    if address not in _GLOBAL_6 or any(address in network for network in _DENIED_6):
        return False
    return not _is_isatap(address)


def carried(address: IPAddress) -> IPv4Address | None:
    """The IPv4 address inside an IPv6 one, if it is of a kind that carries one."""
    if isinstance(address, IPv4Address) or address in _NO_CARRIERS:
        return None
    if _is_isatap(address):
        return IPv4Address(_low(int(address)))
    for network, extract in _CARRIERS:
        if address in network:
            return IPv4Address(extract(int(address)))
    return None


def _is_isatap(address: IPv6Address) -> bool:
    return int(address) >> 32 & 0xFFFF_FFFF in _ISATAP
