"""Three hosts of a network of our own: a namespace each, joined to ours by a cable.

The row's process leaves the machine's network for a namespace of its own first, so nothing outside
sees any of it, and it all ends with the process.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.stage import Place, Places

HOSTS = ("database", "broker", "receiver")
_CLONE_NEWNET = 0x40000000


@contextmanager
def three_hosts(_folder: Path) -> Iterator[dict[str, Any]]:
    """Make the hosts; yields where the servers are to be."""
    if os.geteuid() != 0:
        raise SystemExit("This row makes network namespaces, which takes root.")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise SystemExit(f"No network namespace: {os.strerror(ctypes.get_errno())}")
    _ip("link", "set", "lo", "up")
    made = []
    try:
        for number, name in enumerate(HOSTS, start=1):
            made.append(_host(name, number))
        yield {"places": Places(*made)}
    finally:
        for name in HOSTS[: len(made)]:
            _ip("netns", "delete", namespace(name))


def namespace(name: str) -> str:
    """The name of a host's namespace."""
    return f"doh{os.getpid()}-{name}"


def plug(name: str, *, out: bool) -> None:
    """Pull a host's cable out at its own end, or put it back."""
    _ip("-n", namespace(name), "link", "set", "cable", "down" if out else "up")


def _host(name: str, number: int) -> Place:
    space, ours = namespace(name), f"to-{name}"
    address, gateway = f"10.77.{number}.2", f"10.77.{number}.1"
    _ip("netns", "add", space)
    _ip("link", "add", ours, "type", "veth", "peer", "name", "cable", "netns", space)
    _ip("address", "add", f"{gateway}/24", "dev", ours)
    _ip("link", "set", ours, "up")
    _ip("-n", space, "address", "add", f"{address}/24", "dev", "cable")
    for device in ("lo", "cable"):
        _ip("-n", space, "link", "set", device, "up")
    return Place(address, ["ip", "netns", "exec", space])


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
