"""``make audit`` says that nothing is known only where something would have been."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.audit.audit import KNOWN_BAD
from tests.workers import ROOT

BAD = {"name": "requests", "version": "2.19.0"}
PINNED = {"name": "idna", "version": "3.20"}


@pytest.fixture
def advisories():
    """A service that speaks OSV's protocol, on loopback; fill it with what it knows is bad."""
    known = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            package = {"name": asked["package"]["name"], "version": asked["version"]}
            vulns = [advisory(package)] if package in known else []
            body = json.dumps({"vulns": vulns} if vulns else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield known, f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()


def advisory(package):
    return {
        "id": "GHSA-0000",
        "summary": "bad",
        "details": "bad",
        "published": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": package["name"]},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}],
            }
        ],
    }


def audit(tmp_path, url):
    pins = tmp_path / "constraints.txt"
    pins.write_text("idna==3.20\n")
    return subprocess.run(
        [sys.executable, ROOT / "tests" / "audit" / "audit.py", pins],
        env=os.environ | {"AUDIT_OSV_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_service_that_knows_nothing_is_not_believed(advisories, tmp_path):
    _, url = advisories
    done = audit(tmp_path, url)
    assert "NOT AUDITED" in done.stdout
    assert f"nothing to say of {KNOWN_BAD}" in done.stdout
    assert "knows of no vulnerability" not in done.stdout
    assert done.returncode == 0


def test_a_service_that_cannot_be_reached_is_no_green(tmp_path):
    done = audit(tmp_path, "http://127.0.0.1:1/v1/query")
    assert "NOT AUDITED" in done.stdout
    assert "knows of no vulnerability" not in done.stdout
    assert done.returncode == 0


def test_a_service_that_knows_the_bad_version_is_believed(advisories, tmp_path):
    known, url = advisories
    known.append(BAD)
    done = audit(tmp_path, url)
    assert "knows of no vulnerability here" in done.stdout
    assert done.returncode == 0


def test_what_is_known_of_a_pin_fails(advisories, tmp_path):
    known, url = advisories
    known += [BAD, PINNED]
    done = audit(tmp_path, url)
    assert "idna 3.20: GHSA-0000" in done.stdout
    assert done.returncode == 1
