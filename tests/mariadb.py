"""A MariaDB of the tests' own: Debian's server, on a loopback port, gone with the command.

``python tests/mariadb.py FOLDER -- COMMAND …`` runs a command with ``DATABASE_URL`` set. The
package mariadb-server must be installed.
"""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

sys.path.insert(0, str(Path(__file__).parent.parent / "deploy" / "demo"))
from services import die_with_parent, free_port, wait_for

SERVER = Path("/usr/sbin/mariadbd")
INSTALL = Path("/usr/bin/mariadb-install-db")


@contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """A fresh server; yields its URL."""
    if not SERVER.exists():
        raise SystemExit("MariaDB is missing: apt-get install mariadb-server")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    user, port = getpass.getuser(), free_port()
    data = [f"--datadir={folder / 'data'}", f"--user={user}"]
    install = [INSTALL, "--no-defaults", "--auth-root-authentication-method=normal", *data]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 's'}"]
    # A zone that is not UTC: due times must not depend on it.
    options += ["--default-time-zone=+05:00", "--character-set-server=utf8mb4"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [SERVER, "--no-defaults", *data, *options],
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
    try:
        wait_for("MariaDB", server, lambda: _answers(port))
        yield f"mysql://root@127.0.0.1:{port}/mysql"
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


def _answers(port: int) -> bool:
    try:
        pymysql.connect(host="127.0.0.1", port=port, user="root", connect_timeout=1).close()
    except pymysql.Error:
        return False
    return True


def main() -> int:
    """Run a command beside MariaDB; its exit status is ours."""
    folder, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        raise SystemExit(__doc__)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as own, mariadb(Path(own).resolve() / "db") as url:
        environment = os.environ | {"DATABASE_URL": url}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
