"""Settings of the sample project for the runbook's rehearsals: what takes minutes takes seconds."""

import os

import project
from project.settings import *  # noqa: F403

from doh.names import SWEEP

HOOK_TOTAL_TIMEOUT = HOOK_CONNECT_TIMEOUT = 3
HOOK_LEASE = 8
HOOK_QUEUE_LEASE = 10
HOOK_DOORBELL_PERIOD = 1
# Many small messages: a queue is to be seen growing.
HOOK_BATCH_SIZE = 5
HOOK_MAX_IN_FLIGHT = int(os.environ.get("HOOK_MAX_IN_FLIGHT", "2000"))
# Nothing dies of an outage that lasts as long as an alert takes.
HOOK_RETRY_SCHEDULE = [0, *[1] * 60]
HOOK_CIRCUIT_BREAKER = {"pause": 2, "longest_pause": 10}

project.celery_app.conf.beat_schedule[SWEEP]["schedule"] = 1.0
