"""A compose file without an engine: its commands, variables and health checks, as processes.

``python -m tests.deployment.rehearsal COMPOSE FOLDER SECRETS``, in a mount and a network namespace
of its own, where ``/srv``, ``/run/secrets`` and the names of the services are what a container
sees. COMPOSE is what ``docker-compose config`` wrote. Of the images of others only the health
checks and Valkey's command are run: PostgreSQL comes from PyPI.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import yaml
from services import postgres, postgres_binaries, valkey_binaries

from tests.deployment import sample
from tests.workers import delivered, scrape, wait_until

IMAGE = "doh-sample"
DOCKERFILE = (sample.ROOT / "deploy" / "compose" / "Dockerfile").read_text()
PROMETHEUS = sample.ROOT / "deploy" / "compose" / "prometheus.yml"
WORKDIR = re.findall(r"^WORKDIR (\S+)$", DOCKERFILE, re.MULTILINE)[-1]
LOG = Path("/run/doh/posts.jsonl")
RECEIVER = "http://receiver:8080"


class Service:
    """A service as the file has it."""

    def __init__(self, name: str, found: Mapping[str, Any]) -> None:
        self.name = name
        self.is_ours = found.get("image") == IMAGE
        self.command = _words(found.get("command") or [])
        self._variables = {key: str(value) for key, value in _known(found).items()}
        self._test = [_plain(part) for part in found.get("healthcheck", {}).get("test", [])]

    @property
    def variables(self) -> dict[str, str]:
        """What its container has for an environment."""
        return _image_variables() | self._variables | {"HOSTNAME": socket.gethostname()}

    @property
    def whole_command(self) -> list[str]:
        """The image's entry point and the command."""
        entry = json.loads(re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)[-1])
        return [*entry, *self.command] if self.is_ours else self.command

    def is_healthy(self) -> bool:
        """Run its health check, as the engine would in its container."""
        kind, *test = self._test
        command = ["sh", "-c", test[0]] if kind == "CMD-SHELL" else test
        done = subprocess.run(
            command, env=self.variables, cwd=WORKDIR, capture_output=True, check=False
        )
        return done.returncode == 0


def _known(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return found.get("environment") or {}


def _words(command: str | list[str]) -> list[str]:
    words = shlex.split(command) if isinstance(command, str) else command
    return [_plain(word) for word in words]


def _plain(word: str) -> str:
    """A dollar sign is doubled in the file."""
    return word.replace("$$", "$")


def _image_variables() -> dict[str, str]:
    """The variables that the Dockerfile sets, with this machine's path to the programs."""
    block = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)[-1]
    found = dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split())
    places = [sample.BIN, postgres_binaries(), valkey_binaries(), Path("/run/bin")]
    return found | {"PATH": ":".join([*map(str, places), "/usr/bin:/bin"]), "HOME": "/nonexistent"}


def furnish(names: list[str], secrets: str) -> None:
    """Lay out what a container sees; the namespaces forget it at the end."""
    Path(secrets, "hosts").write_text(
        f"127.0.0.1 localhost {socket.gethostname()} {' '.join(names)}\n"
    )
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "tmpfs", "/run"],
        ["mkdir", "/run/secrets", "/run/doh", "/run/bin"],
        ["mount", "--bind", secrets, "/run/secrets"],
        ["mount", "--bind", f"{secrets}/hosts", "/etc/hosts"],
        ["mount", "--bind", str(sample.ROOT), "/srv"],
        ["ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(command, check=True)
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    assert client, "apt-get install redis-tools"
    Path("/run/bin/valkey-cli").symlink_to(client)


@contextmanager
def database(folder: Path, password: str) -> Iterator[None]:
    """PostgreSQL where the file's is, with its user and its database."""
    with postgres(folder, port=5432) as url:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f"CREATE ROLE doh LOGIN PASSWORD '{password}'")  # type: ignore[arg-type]
            server.execute("CREATE DATABASE doh OWNER doh")
        yield


def run(everything: dict[str, Service], folder: Path) -> None:
    """Start it all in its order; everybody is told of a save; then each check notices an end."""
    web = everything["web"]
    with sample.Commands(folder) as commands:
        valkey = everything["valkey"]
        commands.start("valkey", valkey.whole_command, valkey.variables)
        for name in ("postgres", "valkey"):
            commands.wait_for(everything[name].is_healthy)
            print(f"{name} is healthy", flush=True)
        subprocess.run(
            everything["migrate"].whole_command,
            env=everything["migrate"].variables, cwd=WORKDIR, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        lasting = [one for one in everything.values() if one.is_ours and one.name != "migrate"]
        for service in lasting:
            commands.start(service.name, service.whole_command, service.variables, cwd=WORKDIR)
        for service in lasting:
            commands.wait_for(service.is_healthy)
            print(f"{service.name} is healthy", flush=True)
        in_web = shlex.split(web.variables["ENTRY"])
        drive = [*in_web, "python", "-m", "django", "drive", RECEIVER, "--hooks=3", "--saves=4"]
        subprocess.run(drive, env=web.variables, cwd=WORKDIR, check=True)
        tally = [*in_web, "python", "-m", "django", "tally", str(LOG)]
        wait_until(lambda: _succeeds(tally, web), commands.logs, 120)
        subprocess.run(tally, env=web.variables, cwd=WORKDIR, check=True)
        endpoints = list(_endpoints())
        for name, port in endpoints:
            assert scrape(port, name), f"{name} has no metrics at {port}"
        wait_until(lambda: sum(delivered(port, name) for name, port in endpoints) == 12)
        print(f"the metrics of {len(endpoints)} processes tell of 12 deliveries", flush=True)
        for service in lasting:
            _end(service, commands)
            assert not service.is_healthy(), f"{service.name} is called healthy, and is gone"
        print("each health check fails once its service is gone", flush=True)


def _succeeds(command: list[str], service: Service) -> bool:
    done = subprocess.run(
        command, env=service.variables, cwd=WORKDIR, capture_output=True, check=False
    )
    return done.returncode == 0


def _endpoints() -> Iterator[tuple[str, int]]:
    """What Prometheus would ask; the names of services are in the hosts' file here."""
    found = yaml.safe_load(PROMETHEUS.read_text())
    for job in found["scrape_configs"]:
        for asked in job["dns_sd_configs"]:
            for name in asked["names"]:
                yield name, asked["port"]


def _end(service: Service, commands: sample.Commands) -> None:
    commands.stop(service.name)
    if service.name == "beat":  # what its check looks at is the age of a file
        for path in Path("/run/doh").glob("schedule*"):
            os.utime(path, (0, 0))


def main() -> None:
    """Rehearse it."""
    compose, folder, secrets = sys.argv[1:]
    found = yaml.safe_load(Path(compose).read_text())["services"]
    everything = {name: Service(name, one) for name, one in found.items()}
    furnish(sorted(everything), secrets)
    password = Path(secrets, "postgres_password").read_text()
    with database(Path(folder) / "pg", password):
        run(everything, Path(folder))


if __name__ == "__main__":
    main()
