"""The canary: listens on every address there is, and keeps who came."""

import select
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

PLAIN_PORTS, TLS_PORTS = (80, 8080), (443, 8443)


@dataclass(frozen=True)
class Visit:
    """One connection: the address that was dialled, the name in the TLS handshake, the request."""

    address: str
    port: int
    name: str | None = None
    request: bytes = b""


class Canary:
    """Answers 200 to everything, and remembers it.

    ``certificates`` says what is shown under which name; the one under the empty name is shown
    where no other fits.
    """

    def __init__(self, certificates: dict[str, ssl.SSLContext]) -> None:
        self._certificates = certificates
        self._certificates[""].sni_callback = self._choose  # type: ignore[assignment]
        self._handshake = threading.local()
        self._changed = threading.Condition()
        self.visits: list[Visit] = []
        self._listeners = [
            self._listen(family, port)
            for family in (socket.AF_INET, socket.AF_INET6)
            for port in (*PLAIN_PORTS, *TLS_PORTS)
        ]
        self._stopping = False
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """Go home."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()

    def forget(self) -> None:
        """Start anew."""
        with self._changed:
            self.visits = []

    def addresses(self) -> set[str]:
        """The addresses that were dialled."""
        with self._changed:
            return {visit.address for visit in self.visits}

    def requests(self) -> list[Visit]:
        """The visits that came as far as a request."""
        with self._changed:
            return [visit for visit in self.visits if visit.request]

    def wait_for(self, address: str) -> bool:
        """Whether an address is dialled within a while."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any(visit.address == address for visit in self.visits), 10
            )

    def _listen(self, family: socket.AddressFamily, port: int) -> socket.socket:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        listener.listen(512)
        return listener

    def _serve(self) -> None:
        while not self._stopping:
            with suppress(OSError, ValueError):
                for listener in select.select(self._listeners, [], [], 0.5)[0]:
                    sock, _ = listener.accept()
                    threading.Thread(target=self._receive, args=(sock,), daemon=True).start()

    def _receive(self, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        address = str(ip_address(host.partition("%")[0]))
        # It counts from the moment at which the connection stands, whatever comes over it.
        self._note(Visit(address, port))
        sock.settimeout(20)
        with suppress(OSError), sock:
            if port not in TLS_PORTS:
                self._answer(sock, address, port, None)
                return
            self._handshake.name = None
            with self._certificates[""].wrap_socket(sock, server_side=True) as secure:
                self._answer(secure, address, port, self._handshake.name)

    def _choose(self, sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Show the certificate for the name that is asked for; this runs in the handshake."""
        self._handshake.name = name
        sock.context = self._certificates.get(name or "", self._certificates[""])

    def _answer(self, sock: socket.socket, address: str, port: int, name: str | None) -> None:
        got = b""
        while b"\r\n\r\n" not in got:
            piece = sock.recv(65536)
            if not piece:
                return
            got += piece
        self._note(Visit(address, port, name, got))
        status = b"302 Found\r\nLocation: http://127.0.0.1/" if b" /away" in got else b"200 OK"
        sock.sendall(
            b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
        )
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    def _note(self, visit: Visit) -> None:
        with self._changed:
            self.visits.append(visit)
            self._changed.notify_all()
