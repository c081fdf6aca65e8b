"""The demo as a newcomer meets it: it ends by itself, says why it failed, and leaves nothing."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from tests.workers import wait_until

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "deploy/demo/run.py"]
pytestmark = pytest.mark.timeout(4 * 240)

#: A demo to which a signal comes in the middle of a statement that then fails in its own words, as
#: a commit does.
CUT_SHORT = """
import signal, sys
sys.path.insert(0, "deploy/demo")
import run

def cut_short(*_):
    try:
        signal.raise_signal(signal.{name})
    finally:
        raise ValueError("the connection is in the middle of a command")

run._run = cut_short
sys.exit(run.main())
"""

#: Seconds that the demo may take at the most on a busy machine.
PATIENCE = 240


class Demo:
    """One run of the demo; its output is in a file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._log = folder / "demo.log"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._mark = f"DOH_DEMO={folder}"
        environment = os.environ | {"TMPDIR": str(self.temporary), "DOH_DEMO": str(folder)}
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                [*RUN, *options],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def until(self, text: str) -> None:
        """Wait until it has printed something."""

        def printed():
            assert self.process.poll() is None or text in self.output, self.output
            return text in self.output

        wait_until(printed, lambda: self.output, PATIENCE)

    def children(self, word: str) -> list[psutil.Process]:
        """Its processes whose command line has a word."""
        every = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in every if word in words_of(child)]

    def leftovers(self) -> list[str]:
        """Its processes, and the files that it made: none of them may be left."""
        alive = [str(one) for one in psutil.process_iter() if self._mark in environment_of(one)]
        files = [*self.temporary.iterdir(), *(ROOT / ".demo").glob(f"run-{self.process.pid}-*")]
        return alive + [str(path) for path in files]


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process, empty once it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def environment_of(process: psutil.Process) -> list[str]:
    """The variables that a process was started with."""
    try:
        return [f"{name}={value}" for name, value in process.environ().items()]
    except psutil.Error:
        return []


@pytest.fixture
def start(tmp_path):
    """Starts demos; whatever becomes of one, no process and no file of it is left."""
    demos = []

    def start(*options):
        demos.append(Demo(tmp_path, *options))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(PATIENCE)
    wait_until(
        lambda: not any(demo.leftovers() for demo in demos),
        lambda: str([demo.leftovers() for demo in demos]),
    )


def test_it_ends_by_itself_and_says_what_came_of_it(start):
    demo = start()
    assert demo.process.wait(PATIENCE) == 0, demo.output
    for line in ("retried and delivered", "hook disabled by 410", "dead letter", "11 of 11"):
        assert line in demo.output
    assert "Everything that was owed is settled." in demo.output


def test_what_did_not_happen_is_said_with_a_status_of_one(start):
    demo = start("--limit", "20")
    demo.until("Bus 55 is saved")
    for child in demo.children("doh.element,doh.element_slow"):
        child.kill()
    assert demo.process.wait(PATIENCE) == 1, demo.output
    said = " ".join(demo.output.split())  # It is wrapped to the width of a terminal.
    assert "The demo failed. There should be" in said
    # What was in the air may have landed; a second attempt is seconds away.
    assert "There should be 1 delivery after retries, not 0." in said


def test_a_termination_in_the_middle_leaves_nothing(start):
    demo = start()
    demo.until("Bus 55 is saved")
    demo.process.terminate()
    assert demo.process.wait(PATIENCE) == 143, demo.output


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_whatever_a_signal_cuts_short_makes_of_it_the_status_is_the_signals(name, status):
    code = CUT_SHORT.format(name=name)
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (status, "")


def test_left_running_it_shows_a_save_in_the_admin_arrive_and_ends_with_ctrl_c(start):
    demo = start("--serve")
    demo.until("Ctrl-C ends it.")
    admin, flower = (
        re.search(rf"{name}\s+(http\S+)", demo.output)[1] for name in ("admin", "Flower")
    )
    name, password = re.search(r"login\s+(\S+) / (\S+)", demo.output).groups()
    before = demo.output.count("healthy")
    wait_until(lambda: answers(flower) is not None, lambda: demo.output)
    assert requests.get(flower, timeout=60).status_code == 401
    assert requests.get(flower, auth=(name, password), timeout=60).status_code == 200
    save_bus(admin, name, password)
    wait_until(lambda: demo.output.count("healthy") > before, lambda: demo.output)
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(PATIENCE) == 0, demo.output
    assert "Traceback" not in demo.output


def answers(url):
    try:
        return requests.get(url, timeout=60)
    except (requests.ConnectionError, requests.Timeout):
        return None


def save_bus(url, name, password):
    """Log in and press save, as a browser would."""
    with requests.Session() as session:
        wait_until(lambda: answers(url) is not None)
        page = session.get(url, timeout=60)
        login = {"username": name, "password": password, "csrfmiddlewaretoken": token(page)}
        page = session.post(page.url, login, timeout=60)
        bus = {"type": "bus", "name": "55", "speed": 60, "csrfmiddlewaretoken": token(page)}
        assert "was changed successfully" in session.post(url, bus, timeout=60).text


def token(page):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
