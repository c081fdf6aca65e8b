"""The compose file, read by docker-compose, and everything in it run as processes."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.deployment import sample
from tests.deployment.queues import needed, queues_of

COMPOSE = sample.ROOT / "deploy" / "compose"
SHORT_LIVED = {"migrate"}

pytestmark = pytest.mark.timeout(1200)


def config(**variables: str) -> str:
    profiles = ["--profile", "rabbitmq", "--profile", "prometheus"]
    command = ["docker-compose", "-f", "compose.yaml", *profiles, "config"]
    environment = os.environ | variables
    done = subprocess.run(
        command, cwd=COMPOSE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found = yaml.safe_load(config())["services"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in the checkout: the rehearsal sees nothing else of what is temporary."""
    base = sample.ROOT / ".demo"
    base.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=base, prefix="compose-") as name:
        yield Path(name)


def make_secrets(folder: Path, *options: str) -> None:
    script = [sys.executable, str(COMPOSE / "make_secrets.py"), "--folder", str(folder)]
    subprocess.run([*script, *options], check=True, stdout=subprocess.DEVNULL)


def test_every_service_is_checked_limited_and_started_again(services: dict[str, Any]):
    for name, service in services.items():
        if name in SHORT_LIVED:
            continue
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"], name
        assert service["cpus"], name


def test_our_containers_may_do_nothing_but_run(services: dict[str, Any]):
    ours = {name: one for name, one in services.items() if one["image"] == "doh-sample"}
    assert len(ours) > len(SHORT_LIVED)
    for name, service in ours.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_every_queue_has_a_service(services: dict[str, Any]):
    commands = [one.get("command") or [] for one in services.values()]
    words = [one.split() if isinstance(one, str) else one for one in commands]
    assert queues_of(words) == needed()


def test_no_secret_is_in_the_file(services: dict[str, Any]):
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            word = variable.lower()
            if any(part in word for part in ("password", "secret", "url", "keys", "auth")):
                assert value.startswith("/run/secrets/"), (name, variable)


def test_database_and_broker_are_on_a_network_of_their_own(services: dict[str, Any]):
    for name in ("postgres", "valkey", "rabbitmq", "metrics"):
        assert list(services[name]["networks"]) == ["back"]
        assert "ports" not in services[name]
    assert yaml.safe_load(config())["networks"]["back"]["internal"]


def test_secrets_are_made_once_and_fit_each_other(tmp_path: Path):
    make_secrets(tmp_path)
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert first["postgres_password"] in first["database_url"]
    assert first["broker_url"] == first["redis_url"]
    make_secrets(tmp_path, "--broker", "rabbitmq")
    second = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert second["broker_url"] == f"amqp://doh:{first['rabbitmq_password']}@rabbitmq:5672//"
    assert {name for name in first if first[name] != second[name]} == {"broker_url"}
    assert set(yaml.safe_load(config())["secrets"]) <= set(first)


def test_secrets_are_for_nobody_to_list(tmp_path: Path):
    make_secrets(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o711


def test_a_secret_that_is_missing_is_named():
    entry = [sys.executable, str(COMPOSE / "entrypoint.py"), "true"]
    missing = os.environ | {"DATABASE_URL_FILE": "/run/secrets/none"}
    done = subprocess.run(entry, env=missing, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("DATABASE_URL_FILE: No such file")


def test_the_dockerfile_has_no_faults_that_hadolint_knows():
    subprocess.run([sample.BIN / "hadolint", COMPOSE / "Dockerfile"], check=True)


def test_prometheus_accepts_what_it_is_told(tmp_path: Path):
    for path in (COMPOSE / "prometheus.yml", sample.ROOT / "deploy/prometheus/doh.rules.yml"):
        shutil.copy(path, tmp_path)
    subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], check=True)


def test_everything_in_it_runs_is_healthy_and_delivers(folder: Path):
    secrets = folder / "secrets"
    make_secrets(secrets)
    (folder / "compose.yaml").write_text(config(RECEIVERS="127.0.0.0/8"))
    apart = ["unshare", "--mount", "--net", "--fork", "--kill-child"]
    arguments = [str(folder / "compose.yaml"), str(folder), str(secrets)]
    done = subprocess.run(
        [*apart, sys.executable, "-W", "ignore", "-m", "tests.deployment.rehearsal", *arguments],
        cwd=sample.ROOT, env=sample.environment(PYTHONPATH=f"{sample.ROOT}:{sample.SAMPLE}"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"owed": 12, "received": 12, "lost": 0' in done.stdout
    assert "the metrics of 4 processes tell of 12 deliveries" in done.stdout
