"""Audit the pinned packages for known vulnerabilities, and believe no silence.

Run by ``make audit``. Where its service can't be reached, or answers nothing, pip-audit may report
that all is well. So it must first flag a version that is known to be bad; only then its verdict on
``constraints.txt`` counts. Ends with 1 if something was found; says NOT AUDITED, and why, if nobody
could be asked.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent.parent / "constraints.txt"
#: It sends a password on to another host: CVE-2018-18074.
KNOWN_BAD = "requests==2.19.0"
#: The advisories to ask; a URL of one's own speaks OSV's protocol.
SERVICES = (("-s", "pypi"), ("-s", "osv"))


def main(constraints: Path = CONSTRAINTS) -> int:
    """Ask the first service that knows the known-bad version."""
    own = os.environ.get("AUDIT_OSV_URL")
    reasons = []
    for service in [("-s", "osv", "--osv-url", own)] if own else SERVICES:
        found, reason = audit(f"{KNOWN_BAD}\n", service)
        if not found:
            reasons.append(f"{service[1]}: {reason or f'it has nothing to say of {KNOWN_BAD}'}")
            continue
        found, reason = audit(constraints.read_text(), service)
        if found is None:
            reasons.append(f"{service[1]}: {reason}")
            continue
        return report(found, service[1])
    print("NOT AUDITED: no service could be believed.", *reasons, sep="\n  ")
    return 0


def audit(pins: str, service: tuple[str, ...]) -> tuple[list[str] | None, str]:
    """What is known of some pins, or None and the reason why that is not known."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pins.txt")
        path.write_text(pins)
        command = [sys.executable, "-m", "pip_audit", "--strict", "--no-deps", "--disable-pip"]
        options = ["--progress-spinner", "off", "--format", "json", "-r", str(path)]
        done = subprocess.run(
            [*command, *options, *service], capture_output=True, text=True, check=False, timeout=600
        )
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        return None, lines[-1]
    if len(dependencies) != len(pins.split()):
        return None, f"it looked at {len(dependencies)} of {len(pins.split())} packages"
    return [
        f"{one['name']} {one['version']}: {bad['id']}, mended in {bad['fix_versions'] or 'none'}"
        for one in dependencies
        for bad in one.get("vulns", ())
    ], ""


def report(found: list[str], service: str) -> int:
    """Print what is known; the exit status."""
    if found:
        print(f"{len(found)} known vulnerabilities ({service}):", *found, sep="\n  ")
        return 1
    print(f"Audited: {service}, which knows of {KNOWN_BAD}, knows of no vulnerability here.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
