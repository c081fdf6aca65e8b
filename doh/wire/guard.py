"""The one place that says which addresses may be dialled: both transports ask it at the socket."""

import socket
from collections.abc import Callable
from typing import NamedTuple

from doh.exceptions import AddressRefusedError


class Address(NamedTuple):
    """A resolved address: family, numeric host, port."""

    family: int
    host: str
    port: int


#: Says whether one numeric address may be dialled.
Policy = Callable[[str], bool]


def any_address(host: str) -> bool:  # noqa: ARG001 - the open policy
    """The policy that refuses nothing."""
    return True


def judge_addresses(found: list[Address], policy: Policy = any_address) -> list[Address]:
    """All the addresses of a name, or `AddressRefusedError` if the policy refuses any of them.

    Mixed answers are refused whole: a name with one public and one private address is a trap.
    """
    if not all(policy(address.host) for address in found):
        raise AddressRefusedError("the target's address is not allowed")
    return found


def resolve(host: str, port: int, policy: Policy = any_address) -> list[Address]:
    """Look a name up once and judge every answer; raises OSError where the look-up fails."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = [Address(family, str(where[0]), port) for family, _, _, _, where in answers]
    return judge_addresses(list(dict.fromkeys(found)), policy)
