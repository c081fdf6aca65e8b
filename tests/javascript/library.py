"""The JavaScript library of Standard Webhooks, installed by npm, and asked over a pipe."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".demo" / "javascript"
#: The library and all that it needs, each at one version.
PACKAGES = ("standardwebhooks@1.1.1", "@stablelib/base64@1.0.1", "fast-sha256@1.3.0")


def install() -> None:
    """Install the packages once; without Node.js it fails in CI, and skips loudly elsewhere."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack("Node.js is missing, so NOTHING was verified by the JavaScript library")
    stamp = FOLDER / "installed"
    if stamp.exists() and stamp.read_text() == repr(PACKAGES):
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    flags = ["--no-package-lock", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    command = ["npm", "install", *flags, "--prefix", str(FOLDER), *PACKAGES]
    subprocess.run(command, cwd=FOLDER, check=True, timeout=300)
    stamp.write_text(repr(PACKAGES))


def ask(verify=(), sign=()):
    """What it says of messages (secret, headers, body), and its signatures of others."""
    question = {"verify": list(verify), "sign": list(sign)}
    done = subprocess.run(
        ["node", str(Path(__file__).parent / "webhook.cjs")],
        input=json.dumps(question),
        env=os.environ | {"NODE_PATH": str(FOLDER / "node_modules")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)
