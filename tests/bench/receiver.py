"""The receiver: nginx, on as many loopback addresses as wanted. Its log is what is counted."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from services import die_with_parent, free_port, wait_for

BINARY = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
MODULES = Path("/usr/lib/nginx/modules")

_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes 1;
worker_rlimit_nofile 20000;
load_module {modules}/ngx_http_echo_module.so;
events {{ worker_connections 16000; }}
http {{
    log_format seen '$msec $request_time $connection $http_webhook_id $request_uri';
    access_log {folder}/access.log seen buffer=64k flush=50ms;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # A connection that carried its thousandth request would be closed: not what is measured.
    keepalive_requests 100000000;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    {handshakes}
    server {{
        {listen}
        location / {{ return 204; }}
        {slow}
    }}
}}
"""
#: Every connection is new, and so is its handshake, however often the hosts were sent to.
_COLD = "keepalive_timeout 0; ssl_session_cache off; ssl_session_tickets off;"
_WARM = "keepalive_timeout 300s;"
_SLOW = """location /{path}/ {{
            echo_read_request_body; echo_sleep {seconds}; echo_status 204; echo -n '';
        }}"""


class Seen(NamedTuple):
    """One request in the log: when it came and was answered, seconds since the epoch."""

    came: float
    answered: float
    connection: str
    event: str
    path: str


@dataclass(slots=True)
class Receiver:
    """A running nginx and its log."""

    folder: Path
    hosts: list[str]
    port: int
    tls: bool = False
    #: Where the requests that count begin in the log; how far it was read, and how many those are.
    _from: int = field(default=0)
    _read: int = field(default=0)
    _count: int = field(default=0)

    def url(self, number: int, prefix: str = "h") -> str:
        """The target of hook number so-and-so; the hosts take turns."""
        scheme = "https" if self.tls else "http"
        host = self.hosts[number % len(self.hosts)]
        return f"{scheme}://{host}:{self.port}/{prefix}/{number}"

    def forget(self) -> None:
        """Count from here on."""
        self._from = self._read = self._log.stat().st_size
        self._count = 0

    def seen(self) -> list[Seen]:
        """What has come since `forget`."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            text = log.read()
        return [_parse(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def count(self) -> int:
        """How many requests have come since `forget`."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        end = text.rfind(b"\n") + 1
        self._count += text.count(b"\n", 0, end)
        self._read += end
        return self._count

    def wait_for(self, number: int, timeout: float = 300, *, strict: bool = True) -> None:
        """Wait until so many requests have come since `forget`; if strict, end if they don't."""
        deadline = time.monotonic() + timeout
        while self.count() < number:
            if time.monotonic() > deadline:
                if strict:
                    raise SystemExit(f"only {self.count()} of {number} requests in {timeout:g} s")
                return
            time.sleep(0.02)

    @property
    def _log(self) -> Path:
        return self.folder / "access.log"


@contextmanager
def nginx(
    folder: Path,
    hosts: int,
    certificate: Path,
    *,
    tls: bool = False,
    slow: dict[str, float] = {},  # noqa: B006
) -> Iterator[Receiver]:
    """Run nginx on so many loopback addresses; ``slow`` maps a path's prefix to seconds.

    A request is in the log once it was answered: one whose client gave up before is not.
    """
    if BINARY is None or not (MODULES / "ngx_http_echo_module.so").exists():
        raise SystemExit("Install Debian's nginx and libnginx-mod-http-echo.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    addresses = [address(number) for number in range(hosts)]
    port = free_port()
    flag = " ssl" if tls else ""
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            modules=MODULES,
            certificate=certificate,
            listen="\n".join(f"listen {one}:{port}{flag} backlog=4096;" for one in addresses),
            handshakes=_COLD if tls else _WARM,
            slow="\n".join(_SLOW.format(path=p, seconds=s) for p, s in slow.items()),
        )
    )
    server = subprocess.Popen(
        [BINARY, "-c", config, "-p", folder], start_new_session=True, preexec_fn=die_with_parent()
    )
    try:
        wait_for("nginx", server, (folder / "nginx.pid").exists)
        yield Receiver(folder, addresses, port, tls)
    finally:
        server.terminate()
        server.wait(20)


def address(number: int) -> str:
    """A loopback address of its own for each receiver."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


def _parse(line: bytes) -> Seen:
    moment, took, connection, event, path = line.decode().split(" ")
    return Seen(float(moment) - float(took), float(moment), connection, event, path)
