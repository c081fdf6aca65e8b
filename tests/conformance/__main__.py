"""``python -m tests.conformance [pytest's options]``: the suite in namespaces of its own.

Nothing that is sent here can leave: the network namespace has a loopback device and nothing else,
and every address there is, public ones too, ends at it. A broken guard hits the canary.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bad_targets import PUBLIC, REFUSED_AT_CONNECT

ROOT = Path(__file__).parents[2]
INSIDE = "DOH_CONFORMANCE"
FOLDER = ROOT / ".demo" / "conformance"
#: A second for an answer that does not come: the suite's own name server is near.
RESOLV_CONF = "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"


def main() -> int:
    """Enter the namespaces, or set them up and run the tests once inside."""
    if os.environ.get(INSIDE) == "yes":
        set_up()
        return run()
    missing = [tool for tool in ("unshare", "ip", "mount") if shutil.which(tool) is None]
    if missing:
        print(f"Missing: {', '.join(missing)} (Debian's util-linux, iproute2, mount).")
        return 1
    # Who is not root becomes it in a user namespace, where the kernel lets everybody make one.
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--net", "--mount", *user, sys.executable, "-m", "tests.conformance"]
    done = subprocess.run(
        [*command, *sys.argv[1:]], cwd=ROOT, env=os.environ | {INSIDE: "yes"}, check=False
    )
    if done.returncode and user:
        print("Not root, and perhaps no user namespaces here either: then run this as root.")
    return done.returncode


def set_up() -> None:
    """Bring up a network of one device, where every address is this machine's."""
    ip("link", "set", "lo", "up")
    for address in (*REFUSED_AT_CONNECT, *PUBLIC):
        # Some, multicast among them, no device can have; the routes below take in the rest.
        width = "128" if ":" in address else "32"
        options = ["nodad"] if ":" in address else []
        ip("addr", "add", f"{address}/{width}", "dev", "lo", *options, may_fail=True)
    ip("route", "add", "local", "0.0.0.0/0", "dev", "lo")
    ip("-6", "route", "add", "local", "::/0", "dev", "lo")
    FOLDER.mkdir(parents=True, exist_ok=True)
    resolv = FOLDER / "resolv.conf"
    resolv.write_text(RESOLV_CONF)
    subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)


def run() -> int:
    """Run the tests beside a PostgreSQL and a Valkey of their own."""
    services = [sys.executable, "deploy/demo/services.py", str(FOLDER), "--"]
    pytest = [sys.executable, "-X", "dev", "-m", "pytest", "tests/conformance", *sys.argv[1:]]
    return subprocess.run([*services, *pytest], cwd=ROOT, check=False).returncode


def ip(*arguments: str, may_fail: bool = False) -> None:
    """Run iproute2's command."""
    subprocess.run(["ip", *arguments], check=not may_fail, capture_output=may_fail)


if __name__ == "__main__":
    sys.exit(main())
