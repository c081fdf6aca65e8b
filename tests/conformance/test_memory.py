"""Fifty of each hostile receiver at once: what a sending process grows by, and its neighbours."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import hostile

ROOT = Path(__file__).parents[2]
#: Of each kind of receiver, at once, among as many that are good; and what may be the cost, in MB.
NUMBER, BOUND = 50, 20
ACTS = (
    hostile.resets,
    hostile.silent,
    hostile.drips_headers,
    hostile.drips_body,
    hostile.endless_continue,
    hostile.endless_headers,
    hostile.endless_long_headers,
    hostile.endless_header_line,
    hostile.endless_hints,
    hostile.large_headers,
    hostile.endless_chunks,
    hostile.huge_body,
    hostile.gzip_bomb,
    hostile.absurd_length,
    hostile.closes_in_mid_headers,
    hostile.redirects_to_itself,
)
FAULTS = ("name", "authority", "expired")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["Curl", "Inline", "Green"])
def test_hostile_receivers_cost_little_memory_and_no_neighbour(kind, authority, receiver):
    with ExitStack() as stack:
        urls = {act.__name__: stack.enter_context(hostile.hostile(act)) for act in ACTS}
        stalls = urls["silent"].replace("http:", "https:")
        urls["stalls in the handshake"] = stalls
        for fault in FAULTS:
            context = hostile.certificate(fault, authority.ca)
            urls[f"certificate: {fault}"] = stack.enter_context(
                hostile.hostile(hostile.answers_tls, context)
            )
        asked = {
            "kind": kind,
            "number": NUMBER,
            "urls": urls,
            "good": receiver.url("/"),
            "ca_bundle": authority.path,
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.conformance.hostile_client"],
            cwd=ROOT,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'deploy' / 'demo'}"},
        )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    print(f"{kind}: MB more after {NUMBER} at once of each: {found['grown']}")
    assert found["found"] == {name: {"ended": NUMBER, "good": NUMBER} for name in urls}
    assert max(found["grown"].values()) < BOUND, found["grown"]
