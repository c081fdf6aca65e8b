"""The demo's project with hooks delivered by Celery, and nothing tuned."""

import os
import sys

import project
from project.settings import *  # noqa: F403

DEBUG = False
HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_task"
HOOK_ELEMENT_DELIVERER = "doh.deliverers.deliver_hook_using_task"
del HOOK_RETRY_SCHEDULE  # noqa: F821 - the demo's is a short one; the default is measured
# The receivers are on loopback, and their certificates from an authority of the run's own.
HOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
if _first := os.environ.get("BENCH_METRICS"):
    # Each worker has a port of its own: `tests.bench.telemetry`.
    _place = ("element1@%h" in sys.argv) + 2 * ("element2@%h" in sys.argv)
    HOOK_METRICS_LISTEN = f"127.0.0.1:{int(_first) + _place}"
# What P4 measures both ways.
HOOK_DELIVER_WHERE_COLLECTED = bool(os.environ.get("BENCH_HERE"))
HOOK_CA_BUNDLE = os.environ.get("BENCH_CA_BUNDLE")
# P4 sends tasks that do nothing, too.
project.celery_app.conf.imports = (*project.celery_app.conf.imports, "tests.bench.relay")
