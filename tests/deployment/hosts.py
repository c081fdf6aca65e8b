"""Hosts on one machine: network namespaces on a bridge, each with an address of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_NETWORK = "10.77.0"


class Hosts:
    """Named hosts; the first one is .1, the next .2 and so on."""

    def __init__(self, names: list[str]) -> None:
        self._mark = f"doh{os.getpid()}"
        self.names = names

    def address(self, name: str) -> str:
        """The address of a host."""
        return f"{_NETWORK}.{self.names.index(name) + 1}"

    def inside(self, name: str) -> list[str]:
        """What to put before a command that is to run on a host."""
        return ["ip", "netns", "exec", self._namespace(name)]

    def cut(self, name: str) -> None:
        """Pull the cable of a host."""
        self._link(name, "down")

    def join(self, name: str) -> None:
        """Plug it in again."""
        self._link(name, "up")

    def lay(self) -> None:
        """Make them all."""
        self._ip("netns", "add", self._namespace("switch"))
        self._ip("-n", self._namespace("switch"), "link", "add", "bridge", "type", "bridge")
        self._ip("-n", self._namespace("switch"), "link", "set", "bridge", "up")
        for name in self.names:
            self._lay(name)

    def remove(self) -> None:
        """Remove what is there of them."""
        for name in [*self.names, "switch"]:
            command = ["ip", "netns", "delete", self._namespace(name)]
            subprocess.run(command, capture_output=True, check=False)

    def _lay(self, name: str) -> None:
        own, switch = self._namespace(name), self._namespace("switch")
        self._ip("netns", "add", own)
        plug = ["type", "veth", "peer", "name", "cable", "netns", own]
        self._ip("-n", switch, "link", "add", name, *plug)
        self._ip("-n", switch, "link", "set", name, "master", "bridge", "up")
        self._ip("-n", own, "address", "add", f"{self.address(name)}/24", "dev", "cable")
        for device in ("lo", "cable"):
            self._ip("-n", own, "link", "set", device, "up")

    def _link(self, name: str, state: str) -> None:
        self._ip("-n", self._namespace("switch"), "link", "set", name, state)

    def _namespace(self, name: str) -> str:
        return f"{self._mark}-{name}"

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)


@contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """Hosts that are gone when the block ends."""
    found = Hosts(list(names))
    try:
        found.lay()
        yield found
    finally:
        found.remove()
