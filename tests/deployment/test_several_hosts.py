"""A deployment over several hosts, one of which is cut off and comes back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from services import postgres, valkey

from tests.deployment import sample
from tests.deployment.hosts import Hosts, hosts
from tests.workers import wait_until

pytestmark = pytest.mark.timeout(1200)

HOSTS = ("database", "broker", "receiver", "collection", "element1", "element2")
#: The sample's settings, but for what would make a test long.
SETTINGS = """
from project.settings import *

HOOK_LEASE, HOOK_QUEUE_LEASE = 10, 15
HOOK_CONNECT_TIMEOUT, HOOK_TOTAL_TIMEOUT = 2, 5
HOOK_RETRY_SCHEDULE = [0, 1, 2, 4, 8, 8, 8]
# Whoever saves complains of a broker that stood still for a moment, and is to have no complaint.
HOOK_RING_TIMEOUT = 30
"""
HOOKS = 20


@pytest.fixture
def network() -> Iterator[Hosts]:
    with hosts(*HOSTS) as found:
        yield found


class Deployment:
    """The sample project with ``celeryconfig.example.py``, each part on its host."""

    def __init__(self, network: Hosts, folder: Path, commands: sample.Commands) -> None:
        (folder / "several.py").write_text(SETTINGS)
        self.network = network
        self.log = folder / "posts.jsonl"
        self.log.touch()
        self.saved = 0
        self.commands = commands
        self.variables = sample.environment(
            PYTHONPATH=f"{folder}:{sample.SAMPLE}",
            DJANGO_SETTINGS_MODULE="several",
            DATABASE_URL=f"postgres://postgres@{network.address('database')}:5432/postgres",
            REDIS_URL=f"redis://{network.address('broker')}:6379/0",
            HOOK_ALLOWED_NETWORKS=f"{network.address('receiver')}/32",
        )

    def start(self, folder: Path) -> None:
        """Everything but the stores."""
        self.django("migrate", "--verbosity=0")
        listen = ["listener.py", "--host=0.0.0.0", f"--log={self.log}", "--delay=1"]
        self._on("receiver", "listener", sys.executable, *listen)
        queues = "doh.collection,doh.maintenance"
        self.worker("collection", "-Q", queues, "-c", "1")
        self._celery("collection", "beat", "beat", "-s", str(folder / "schedule"))
        for host in ("element1", "element2"):
            self.worker(host, "-Q", "doh.element,doh.element_slow", "-P", "threads", "-c", "4")
        for host in ("collection", "element1", "element2"):
            self.commands.wait_for(lambda host=host: " ready." in self.commands.log(host))

    def worker(self, host: str, *options: str) -> None:
        self._celery(host, host, "worker", "-l", "INFO", "-n", f"worker@{host}", *options)

    def _celery(self, host: str, name: str, *arguments: str) -> None:
        self._on(host, name, sys.executable, "-m", "celery", "-A", "project", *arguments)

    def _on(self, host: str, name: str, *command: str) -> None:
        whole = [*self.network.inside(host), *command]
        self.commands.start(name, whole, self.variables, cwd=sample.SAMPLE)

    def django(self, *arguments: str) -> str:
        """Run a management command, on the host that has the collection worker."""
        done = subprocess.run(
            [*self.network.inside("collection"), sys.executable, "-m", "django", *arguments],
            cwd=sample.SAMPLE, env=self.variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        return done.stdout

    def save(self, times: int) -> None:
        """Events for everybody."""
        url = f"http://{self.network.address('receiver')}:8000"
        self.django("drive", url, f"--hooks={HOOKS}", f"--saves={times}")
        self.saved += times

    def keep_saving(self, over: Event) -> None:
        """More and more of them, until it is over."""
        while not over.is_set():
            self.save(5)

    def posts(self) -> list[dict[str, object]]:
        """What the receiver has."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def senders(self) -> list[object]:
        """Where each POST came from, in their order."""
        return [post["from"] for post in self.posts()]

    def tally(self) -> dict[str, int]:
        """What the receiver has, beside what the ledger says."""
        found = json.loads(self.django("tally", str(self.log)))
        assert isinstance(found, dict)
        return found

    def wait_until_settled(self) -> dict[str, int]:
        """Wait until the receiver has everything and the ledger knows; returns the tally."""
        wait_until(
            lambda: not any(self.tally()[word] for word in ("lost", "unsettled")),
            lambda: f"{self.tally()}\n{self.commands.logs()}",
            180,
        )
        return self.tally()


@pytest.fixture
def deployment(network: Hosts, tmp_path: Path) -> Iterator[Deployment]:
    database, broker = (
        (tmp_path / name, port, network.address(name), network.inside(name))
        for name, port in (("database", 5432), ("broker", 6379))
    )
    with (
        # A host that is cut off in mid-transaction must not keep its locks.
        postgres(*database, idle_in_transaction_session_timeout="5s"),
        valkey(*broker),
        sample.Commands(tmp_path) as commands,
    ):
        found = Deployment(network, tmp_path, commands)
        found.start(tmp_path)
        yield found


def test_a_host_that_is_cut_off_and_comes_back_loses_nothing(deployment: Deployment):
    network, commands = deployment.network, deployment.commands
    one, two = network.address("element1"), network.address("element2")

    def both_work() -> bool:
        deployment.save(5)
        return {one, two} <= set(deployment.senders())

    commands.wait_for(both_work)
    before, over = len(deployment.posts()), Event()
    with ThreadPoolExecutor() as background:
        saving = background.submit(deployment.keep_saving, over)
        try:
            commands.wait_for(lambda: one in deployment.senders()[before:])
            network.cut("element1")  # it waits for answers: the receiver takes its time
        finally:
            over.set()
        saving.result()
    # The other host takes over what the lost one had in hand.
    alone = deployment.wait_until_settled()
    assert alone["owed"] == deployment.saved * HOOKS

    before = len(deployment.posts())
    network.join("element1")

    def works_again() -> bool:
        deployment.save(1)
        return one in deployment.senders()[before:]

    commands.wait_for(works_again, 180)
    found = deployment.wait_until_settled()
    print(found)
    assert (found["lost"], found["phantom"], found["forged"]) == (0, 0, 0)
    # What was in the air at the cut was sent again, and nothing else.
    assert set(first_of_repeated(deployment.posts())) == {one}


def headers_of(post: dict[str, object]) -> dict[str, str]:
    """Its headers."""
    headers = post["headers"]
    assert isinstance(headers, dict)
    return headers


def first_of_repeated(posts: list[dict[str, object]]) -> list[object]:
    """Who had sent first what was sent again.

    By the time at which each was signed: what was on its way at the cut may arrive long after.
    """
    first: dict[tuple[object, object], object] = {}
    repeated = []
    for post in sorted(posts, key=lambda post: int(headers_of(post)["webhook-timestamp"])):
        pair = (headers_of(post)["webhook-id"], post["path"])
        if pair in first:
            repeated.append(first[pair])
        first.setdefault(pair, post["from"])
    return repeated
