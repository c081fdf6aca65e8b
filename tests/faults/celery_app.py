"""The Celery app of the fault suite's workers: the tests' own, swept every second."""

import django

from doh.names import SWEEP
from tests.celery_app import app
from tests.faults import failpoints, repeats

__all__ = ["app"]

app.conf.beat_schedule[SWEEP]["schedule"] = 1.0

django.setup()
failpoints.install()
repeats.install()
