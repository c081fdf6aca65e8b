"""Real servers that a row may kill, stop, start and empty; their addresses never change."""

import os
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy" / "demo"))
from services import (
    as_somebody,
    die_with_parent,
    free_port,
    postgres_binaries,
    valkey_binaries,
    wait_for,
)

from tests import rabbitmq

#: A command that runs another one, as ``ip netns exec NAME`` does.
Prefix = list[str]


class Server(Protocol):
    """What every server can be told."""

    url: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def forget(self) -> None: ...


class _Process(ABC):
    """One server process: started, stopped, killed, and started again at the same address."""

    name: str
    asked: signal.Signals = signal.SIGTERM

    def __init__(self, folder: Path, host: str = "127.0.0.1", prefix: Prefix | None = None) -> None:
        self.folder, self.host, self.prefix = folder, host, prefix or []
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on what it has kept, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *map(str, self.command())],
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        wait_for(self.name, self.process, self.answers, timeout=90)

    def stop(self, how: signal.Signals | None = None) -> None:
        """Ask it to stop, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, how or self.asked)
            self.process.wait(180)

    def kill(self) -> None:
        """End it at once, without a word."""
        self.stop(signal.SIGKILL)

    def forget(self) -> None:
        """Throw away what it has kept; it must not run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @abstractmethod
    def command(self) -> list[Any]:
        """What starts it."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is there for clients."""

    def environment(self) -> dict[str, str]:
        return dict(os.environ)


class Postgres(_Process):
    """PostgreSQL, with what it writes made durable; ``wal`` may be a folder of its own."""

    name = "postgresql"
    asked = signal.SIGINT

    def __init__(self, folder: Path, *args: Any, wal: Path | None = None, **options: Any) -> None:
        super().__init__(folder, *args)
        self.wal = wal
        self.options = options
        self.binaries = postgres_binaries()
        self.url = f"postgres://postgres@{self.host}:{self.port}/postgres"

    def start(self) -> None:
        """Start it, on fresh tables the first time."""
        if not (self.folder / "PG_VERSION").exists():
            self._initialize()
        super().start()

    def stop_immediately(self) -> None:
        """What ``pg_ctl stop -m immediate`` does: no checkpoint, connections are dropped."""
        self.stop(signal.SIGQUIT)

    def command(self) -> list[Any]:
        options = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 100,
            "shared_buffers": "64MB",
            **self.options,
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*as_somebody(), self.binaries / "postgres", "-D", self.folder, *flags]

    def answers(self) -> bool:
        ready = [self.binaries / "pg_isready", "-q", "-h", self.host, "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _initialize(self) -> None:
        wal = [] if self.wal is None else ["--waldir", self.wal, "--wal-segsize=1"]
        subprocess.run(
            [*as_somebody(), self.binaries / "initdb", "--auth=trust", "--encoding=utf8",
             "--username=postgres", "--no-sync", "--pgdata", self.folder, *wal],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with (self.folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")


class Valkey(_Process):
    """Valkey in memory: what is killed comes back empty."""

    name = "valkey"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.binary = valkey_binaries() / "valkey-server"
        self.url = f"redis://{self.host}:{self.port}/0"

    def command(self) -> list[Any]:
        return [self.binary, "--bind", self.host, "--port", self.port, "--save", "",
                "--protected-mode", "no", "--dir", self.folder]  # fmt: skip

    def answers(self) -> bool:
        import redis

        try:
            with redis.Redis(host=self.host, port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Rabbit(_Process):
    """RabbitMQ; stopped it keeps its queues, killed and forgotten it comes back empty."""

    name = "rabbitmq"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if not rabbitmq.SERVER.exists():
            raise SystemExit("RabbitMQ is missing: apt-get install rabbitmq-server")
        self._ports = {"distribution": free_port(), "mapper": free_port()}
        self.url = f"amqp://guest:guest@{self.host}:{self.port}//"

    def start(self) -> None:
        """Start the node; outside of loopback its guest may log in, too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text("loopback_users = none\n")
        super().start()

    def command(self) -> list[Any]:
        return [rabbitmq.SERVER]

    def environment(self) -> dict[str, str]:
        return rabbitmq.environment(self.folder, self.host, self.port, **self._ports)

    def answers(self) -> bool:
        return rabbitmq.answers(self.url)

    def stop(self, how: signal.Signals | None = None) -> None:
        """Stop the node; its port mapper ends with it."""
        super().stop(how)
        subprocess.run(
            [*self.prefix, "epmd", "-kill"], env=self.environment(), capture_output=True,
            check=False,
        )  # fmt: skip
