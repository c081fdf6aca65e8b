"""The Dockerfile, built by buildah without an engine, on a Debian that debootstrap made."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deployment import sample

pytestmark = pytest.mark.timeout(1500)

DOCKERFILE = "deploy/compose/Dockerfile"
#: The base image can't be fetched here: this has what the Dockerfile takes from it.
BASE = ["--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm"]
#: How this machine's pip finds its packages; the image is to have none of it.
BORROWED = [path for path in ("/etc/pip.conf", "/etc/ssl/certs") if Path(path).exists()]


class Buildah:
    """Buildah with images and containers in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        places = ["--root", f"{folder}/store", "--runroot", f"{folder}/run"]
        self._command = ["buildah", *places, "--storage-driver", "overlay"]

    def __call__(self, *arguments: str) -> str:
        """Run it; returns what it said."""
        command = [*self._command, *arguments]
        done = subprocess.run(command, cwd=sample.ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def run(self, container: str, *command: str, options: tuple[str, ...] = ()) -> str:
        """Run a command in a container."""
        return self("run", "--isolation", "chroot", *options, container, "--", *command)


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    base = sample.ROOT / ".demo"
    base.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=base, prefix="image-") as name:
        found = Buildah(Path(name))
        yield found
        found("rm", "--all")
        found("rmi", "--all", "--force")
        subprocess.run(["umount", f"{name}/store/overlay"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def container(buildah: Buildah) -> str:
    """A container of the built image."""
    with TemporaryDirectory(dir=sample.ROOT / ".demo", prefix="root-") as root:
        flavour, include, suite = BASE
        subprocess.run(
            ["debootstrap", flavour, include, suite, root], check=True, stdout=subprocess.DEVNULL
        )
        scratch = buildah("from", "scratch")
        buildah("add", "--quiet", scratch, root, "/")
    buildah("commit", "--quiet", scratch, "doh-base")
    volumes = [f"--volume={path}:{path}:ro" for path in BORROWED]
    arguments = ["--isolation=chroot", "--build-arg=BASE=localhost/doh-base", *volumes]
    buildah("bud", *arguments, "--file", DOCKERFILE, "--tag", "doh-sample", ".")
    return buildah("from", "localhost/doh-sample")


def config(buildah: Buildah, container: str) -> dict[str, list[str]]:
    found = json.loads(buildah("inspect", container))["OCIv1"]["config"]
    assert isinstance(found, dict)
    return found


def test_it_runs_as_somebody_who_may_write_nothing_of_it(buildah: Buildah, container: str):
    assert buildah.run(container, "id", "-u") == "10001"
    assert buildah.run(container, "find", "/srv", "/opt/venv", "-writable", "-type", "f") == ""


def test_it_has_what_the_deployments_name(buildah: Buildah, container: str):
    listed = buildah.run(container, "find", "/srv", "-name", "*.py")
    for path in (
        "/srv/celeryconfig.example.py",
        "/srv/deploy/flower/flowerconfig.py",
        "/srv/deploy/compose/healthy.py",
        "/srv/deploy/compose/alive.py",
        "/srv/deploy/demo/listener.py",
    ):
        assert path in listed.splitlines()
    buildah.run(container, "python", "-c", "import opentelemetry.exporter.prometheus")


def test_its_entry_point_reads_secrets_and_its_command_starts(
    buildah: Buildah, container: str, tmp_path: Path
):
    tmp_path.chmod(0o755)
    (tmp_path / "database_url").write_text("sqlite:////tmp/db.sqlite3\n")
    found = config(buildah, container)
    options = (
        f"--volume={tmp_path}:/run/secrets:ro",
        "--env=DATABASE_URL_FILE=/run/secrets/database_url",
    )
    for command in (
        ["python", "-m", "django", "migrate", "--verbosity=0"],
        [*found["Cmd"], "--check-config"],
        ["celery", "-A", "project", "report"],
    ):
        buildah.run(container, *found["Entrypoint"], *command, options=options)
