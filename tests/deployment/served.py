"""``make demo-serve`` as a process of its own, and a browser to look at it with."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = Path("/usr/bin/chromium")
LOGIN = ("admin", "demo")
#: Milliseconds that a page may take on a busy machine.
PATIENCE = 60_000
#: Chromium as root, without a graphics card, and without asking anybody for anything.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Served:
    """Where a running demo is to be seen."""

    admin: str
    flower: str


@contextmanager
def demo() -> Iterator[Served]:
    """The demo after its story, left running; it must end well."""
    command = [sys.executable, "-u", str(ROOT / "deploy" / "demo" / "run.py"), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _addresses(process)
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=300)[0]
    assert process.returncode == 0, rest


def _addresses(process: "subprocess.Popen[str]") -> Served:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.strip().startswith("login"):
            found = dict(re.findall(r"(admin|Flower) +(http://\S+)", said))
            return Served(found["admin"], found["Flower"])
    raise AssertionError(f"The demo did not come to serving:\n{said}")


@contextmanager
def browser() -> Iterator[Page]:
    """A page in Debian's Chromium, with the login of HTTP at hand."""
    name, password = LOGIN
    with TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            http_credentials={"username": name, "password": password},
            timeout=PATIENCE,
            viewport={"width": 1280, "height": 720},
        )
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield context.pages[0]
        context.close()
