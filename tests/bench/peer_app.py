"""The peer's Celery app: Celery's own defaults."""

import os

from celery import Celery

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.peer_settings"

app = Celery("peer", broker=os.environ["CELERY_BROKER_URL"])
app.set_default()
app.autodiscover_tasks()
