"""P8's yardstick: a Celery app without a task, and with Celery's own defaults."""

import os

from celery import Celery

app = Celery("alone", broker=os.environ["REDIS_URL"])
