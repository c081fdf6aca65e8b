"""The units, read by systemd's own tools, and their commands run as they stand."""

import ctypes
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser, SectionProxy
from pathlib import Path

import pytest
from services import free_port, services

from tests.deployment import sample
from tests.deployment.queues import needed, queues_of
from tests.workers import delivered, free_ports, scrape

UNITS = sample.ROOT / "deploy" / "systemd"
WITHOUT_METRICS = {"doh-beat.service", "doh-flower.service"}
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
#: Tenths of ten: what systemd calls a well protected service.
EXPOSURE = 15
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 38, 65

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a folder of their own, with a command that exists."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace("/srv/doh/venv/bin", str(sample.BIN)))
    return folder


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_understands_every_unit(installed: Path):
    units = [*installed.glob("*.service"), *installed.glob("*.target")]
    done = analyze("verify", "--man=no", *map(str, units))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES)
def test_units_are_confined(installed: Path, unit: str):
    options = ["--offline=yes", f"--threshold={EXPOSURE}"]
    done = analyze("security", *options, str(installed / unit))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_queue_has_a_unit():
    assert queues_of(command(unit) for unit in SERVICES) == needed()


def service(unit: str) -> SectionProxy:
    """The part of a unit that says what it starts."""
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / unit)
    return parser["Service"]


def command(unit: str) -> list[str]:
    """What a unit starts."""
    return shlex.split(service(unit)["ExecStart"])


def environment(unit: str, folder: Path, ports: dict[str, int]) -> dict[str, str]:
    """What a unit sets by itself."""
    words = shlex.split(service(unit).get("Environment", ""))
    return dict(here(word, folder, ports).split("=", 1) for word in words)


def here(part: str, folder: Path, ports: dict[str, int]) -> str:
    """A part of a command, with the paths of this checkout."""
    for pattern, value in {
        "/srv/doh/venv/bin/": f"{sample.BIN}/",
        "/srv/doh/flowerconfig.py": str(sample.ROOT / "deploy/flower/flowerconfig.py"),
        r"/var/lib/doh-\w+/": f"{folder}/",
        "%i": "1",
        "%H": "host",
        "%d": str(folder),
        r"127\.0\.0\.1:\d+": f"127.0.0.1:{ports['metrics']}",
        "--port=5555": f"--port={ports['flower']}",
    }.items():
        part = re.sub(pattern, value, part)
    return part


def confine() -> None:
    """In the child: what NoNewPrivileges and MemoryDenyWriteExecute take away."""
    assert _prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert _prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0


_prctl = ctypes.CDLL(None).prctl


def test_the_commands_of_the_units_deliver(tmp_path: Path):
    ports = {"flower": free_port(), "listener": free_port()}
    first = free_ports(len(SERVICES))
    with services(tmp_path / "servers") as addresses, sample.Commands(tmp_path) as commands:
        (tmp_path / "flower").write_text("ada:engine\n")
        variables = sample.environment(**addresses)
        sample.django(variables, "migrate", "--verbosity=0")
        log = tmp_path / "posts.jsonl"
        listen = ["listener.py", f"--port={ports['listener']}", f"--log={log}"]
        commands.start("listener", [sys.executable, *listen], variables, cwd=sample.SAMPLE)
        for place, unit in enumerate(SERVICES):
            own = ports | {"metrics": first + place}
            parts = [here(part, tmp_path, own) for part in command(unit)]
            told = variables | environment(unit, tmp_path, own)
            commands.start(unit, parts, told, cwd=sample.SAMPLE, preexec_fn=confine)
        url = f"http://127.0.0.1:{ports['listener']}"
        sample.django(variables, "drive", url, "--hooks=3", "--saves=4")
        commands.wait_for(log.exists)
        sample.wait_until_told(variables, log, commands.logs)
        assert sample.tally(variables, log)["owed"] == 12
        every = range(first, first + len(SERVICES))
        silent = {
            port for port, unit in zip(every, SERVICES, strict=True) if unit in WITHOUT_METRICS
        }
        # The last to start are perhaps still at it.
        commands.wait_for(lambda: all(scrape(port) for port in every if port not in silent))
        assert not any(scrape(port) for port in silent)
        commands.wait_for(lambda: sum(map(delivered, every)) == 12)
        assert commands.all_up(), commands.logs()
