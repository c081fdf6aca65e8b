"""A RabbitMQ of the tests' own: Debian's server, on loopback ports, gone with the command.

``python tests/rabbitmq.py FOLDER -- COMMAND …`` runs a command with ``CELERY_BROKER_URL`` set. The
package rabbitmq-server must be installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amqp.exceptions import AMQPError
from kombu import Connection

sys.path.insert(0, str(Path(__file__).parent.parent / "deploy" / "demo"))
from services import free_port, wait_for

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """A fresh node; yields its AMQP URL."""
    if not SERVER.exists():
        raise SystemExit("RabbitMQ is missing: apt-get install rabbitmq-server")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    settings = environment(folder, "127.0.0.1", port, free_port(), free_port())
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [SERVER], env=settings, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        wait_for("RabbitMQ", server, lambda: answers(url), timeout=90)
        yield url
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
        subprocess.run(["epmd", "-kill"], env=settings, capture_output=True, check=False)


def environment(
    folder: Path, host: str, port: int, distribution: int, mapper: int
) -> dict[str, str]:
    """Variables that keep a node to one folder, one address and these ports."""
    return os.environ | {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"doh{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": host,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        # Few cores, few schedulers; and the port mapper ends with the node.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
    }


def answers(url: str) -> bool:
    """Whether a node takes connections."""
    try:
        with Connection(url, connect_timeout=1) as connection:
            connection.connect()
    except (OSError, AMQPError):
        return False
    return True


def main() -> int:
    """Run a command beside RabbitMQ; its exit status is ours."""
    folder, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        raise SystemExit(__doc__)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        rabbitmq(Path(own).resolve() / "rabbitmq") as url,
    ):
        environment = os.environ | {"CELERY_BROKER_URL": url}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
