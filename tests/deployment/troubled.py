"""A deployment that gets into trouble, and out again: the sample project under Prometheus's eyes.

Its processes see names of receivers that are this machine, until somebody takes the names away.
"""

import json
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis
from services import free_port, postgres

from tests.deployment import sample
from tests.deployment.alarms import Alarms, write_config
from tests.faults.servers import Valkey
from tests.workers import free_ports, wait_until

#: More hosts than may be away before an alert tells of them.
HOSTS = 40
#: Processes of the element worker.
ELEMENTS = 2
#: Seconds that an alert may take to fire, and to resolve.
PATIENCE = 60


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    status: int
    output: str
    complaints: str

    @property
    def text(self) -> str:
        """Both."""
        return self.output + self.complaints


@contextmanager
def troubled(folder: Path) -> Iterator["Deployment"]:
    """All of it, running and calm."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres(folder / "pg", fsync="off"))
        broker = Valkey(folder / "valkey")
        stack.callback(broker.kill)
        broker.start()
        commands = stack.enter_context(sample.Commands(folder))
        made = Deployment(folder, database, broker, commands)
        made.begin()
        yield made


class Deployment:
    """Its servers and processes, and whoever looks after them."""

    def __init__(
        self, folder: Path, database: str, broker: Valkey, commands: sample.Commands
    ) -> None:
        self.folder, self.database, self.broker, self.commands = folder, database, broker, commands
        self.host = socket.gethostname()
        self.log = folder / "posts.jsonl"
        self.listener, self.ledger = free_port(), free_port()
        self.collection = free_ports(1)
        self.element = free_ports(ELEMENTS)
        self.variables = sample.environment(
            DATABASE_URL=database,
            REDIS_URL=broker.url,
            DJANGO_SETTINGS_MODULE="tests.deployment.hurried",
            PYTHONPATH=f"{sample.ROOT}:{sample.SAMPLE}",
        )
        port = free_port()
        self.alarms = Alarms(f"http://127.0.0.1:{port}")
        self._prometheus = [f"--web.listen-address=127.0.0.1:{port}"]
        self._programs = self._known_programs()

    def begin(self) -> None:
        """Start everything."""
        self.know_names(True)
        (self.folder / "nsswitch").write_text("hosts: files\n")
        sample.django(self.variables, "migrate", "-v", "0")
        targets = [f"http://{name(n)}:{self.listener}/{n}" for n in range(1, HOSTS + 1)]
        self.must(f"{sys.executable} -m tests.deployment.subscribers {' '.join(targets)}")
        for program in ("listener", "collection", "element", "beat", "metrics"):
            self.start(program)
        self.watch(ELEMENTS)
        self.commands.start("prometheus", self._prometheus_command(), self.variables)
        self.commands.wait_for(self.alarms.is_ready)
        self.save()
        self.everybody_is_told()

    def limit_broker(self, memory: str) -> None:
        """Let it have so much memory; "0" is without a limit."""
        with redis.Redis.from_url(self.broker.url) as client:
            client.config_set("maxmemory", memory)

    def watch(self, elements: int) -> None:
        """Write down what Prometheus is to scrape: so many processes of the element worker."""
        workers = [self.collection, *range(self.element, self.element + elements)]
        write_config(self.folder, {"doh-ledger": [self.ledger], "doh-workers": workers})
        if "prometheus" in self.commands.names():
            self.signal("prometheus", signal.SIGHUP)

    def lose_names(self) -> None:
        """Let the names of the receivers be unknown, also to who has just looked them up."""
        self.know_names(False)
        self.stop("element")
        self.start("element")

    def know_names(self, known: bool) -> None:
        """Let the names of the receivers be known on the hosts of this deployment, or not."""
        names = [name(number) for number in range(1, HOSTS + 1)] if known else []
        # In place: it is mounted.
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(names)}\n")

    def start(self, program: str, **variables: str) -> None:
        """Start a program, again maybe, and with other variables."""
        command, own = self._programs[program]
        told = self.variables | own | variables
        self.commands.start(program, self._there(command), told, cwd=sample.SAMPLE)

    def stop(self, program: str) -> None:
        """Ask a program to stop, and wait until it has."""
        self.commands.stop(program)

    def supervise(self) -> None:
        """Start programs that have ended by themselves again, as a service manager does."""
        for program in self.commands.names():
            if not self.commands.is_up(program):
                self.start(program)

    def start_line(self, name: str, line: str) -> None:
        """Start a command line that is to go on."""
        self.commands.start(name, self._there(shlex.split(line)), self.variables)

    def signal(self, program: str, what: signal.Signals) -> None:
        """Send a signal to a program and its children; one that kills is waited for."""
        self.commands.signal(program, what)

    def create_database(self, database: str) -> str:
        """Another database, without tables; returns its URL."""
        with psycopg.connect(self.database, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {database}")  # type: ignore[arg-type]
        return f"{self.database.rpartition('/')[0]}/{database}"

    def run(self, command: str, **variables: str) -> Said:
        """Run a command line on one of its hosts."""
        done = subprocess.run(
            self._there(["sh", "-c", command]), cwd=sample.SAMPLE,
            env=self.variables | variables, capture_output=True, text=True, check=False,
            timeout=180,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def must(self, command: str, **variables: str) -> str:
        """Run one that must succeed."""
        said = self.run(command, **variables)
        assert said.status == 0, f"{command}\n{said.text}"
        return said.text

    def save(self, times: int = 1) -> None:
        """Something happens, of which every receiver is to hear."""
        self.must(self.saving(times))

    def saving(self, times: int, every: float = 0) -> str:
        """The command line that does so, so many seconds apart."""
        how = f"--hooks={HOSTS} --saves={times} --every={every}"
        return f"python -m django drive http://unused {how}"

    def posts(self) -> int:
        """POSTs that have come to the receivers."""
        return self.log.read_bytes().count(b"\n")

    def owed(self) -> dict[str, Any]:
        """How much there is of what, as ``doh_status`` counts it."""
        return dict(self._status()["detail"])

    def waiting_in(self, queue: str) -> int:
        """Messages of a queue, as ``doh_status`` counts them."""
        return int(self._status()["broker"]["queues"].get(queue, 0))

    def every_hook(self, **fields: Any) -> None:
        """Change every hook, as somebody might in the admin."""
        change = f"from doh.models import Hook; Hook.objects.update(**{fields!r})"
        self.must(f"python -m django shell -c {shlex.quote(change)}")

    def _status(self) -> dict[str, Any]:
        found = json.loads(self.run("python -m django doh_status --json").output)
        assert isinstance(found, dict)
        return found

    def everybody_is_told(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until all that was ever owed was received, and the ledger knows."""
        sample.wait_until_told(self.variables, self.log, self.commands.logs, meanwhile)

    def until(self, condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
        """Wait for something."""
        wait_until(condition, self.commands.logs, timeout)

    def until_firing(self, alert: str, **labels: str) -> None:
        """Wait until an alert fires, for these labels."""
        self.until(lambda: self.fires(alert, **labels))

    def fires(self, alert: str, **labels: str) -> bool:
        """Whether it does."""
        firing = self.alarms.firing(alert)
        return any(labels.items() <= one["labels"].items() for one in firing)

    def unseen(self) -> set[int]:
        """The ports of processes that an alert says are not there."""
        return {
            int(one["labels"]["instance"].rpartition(":")[2])
            for one in self.alarms.firing("DohWorkerDown")
        }

    def until_resolved(self, alert: str) -> None:
        """Wait until it fires no more."""
        self.until(lambda: not self.alarms.firing(alert))

    def _there(self, command: list[str]) -> list[str]:
        """A command as it is run on a host that has names of its own, and asks no name server."""
        mounts = [
            f"mount --bind {self.folder / found} /etc/{place}"
            for found, place in (("hosts", "hosts"), ("nsswitch", "nsswitch.conf"))
        ]
        script = " && ".join([*mounts, 'exec "$@"'])
        return ["unshare", "--mount", "sh", "-c", script, "sh", *command]

    def _prometheus_command(self) -> list[str]:
        config, data = self.folder / "prometheus.yml", self.folder / "tsdb"
        files = [f"--config.file={config}", f"--storage.tsdb.path={data}"]
        return ["prometheus", *files, *self._prometheus]

    def _known_programs(self) -> dict[str, tuple[list[str], Mapping[str, str]]]:
        celery = [sys.executable, "-m", "celery", "-A", "project"]
        listen = [f"--port={self.listener}", f"--log={self.log}"]
        metrics = ["doh_metrics", "--listen", f"127.0.0.1:{self.ledger}"]
        workers = (
            ("collection", self.collection, "doh.collection,doh.maintenance", 1),
            ("element", self.element, "doh.element,doh.element_slow", ELEMENTS),
            ("single element", self.element, "doh.element,doh.element_slow", 1),
            ("another", 0, "doh.element,doh.element_slow", ELEMENTS),
        )
        found = {
            program: (
                [
                    *celery,
                    "worker",
                    "-n",
                    f"{program.split()[-1]}@%h",
                    "-Q",
                    queues,
                    "-c",
                    str(number),
                ],
                {"HOOK_METRICS_LISTEN": f"127.0.0.1:{port}"} if port else {},
            )
            for program, port, queues, number in workers
        }
        return found | {
            "listener": ([sys.executable, "listener.py", *listen], {}),
            "slow listener": ([sys.executable, "listener.py", *listen, "--delay=1"], {}),
            "beat": ([*celery, "beat", "-s", str(self.folder / "schedule")], {}),
            "metrics": ([sys.executable, "-m", "django", *metrics], {}),
        }


def name(number: int) -> str:
    """The name of a receiver's host."""
    return f"receiver-{number}.test"
