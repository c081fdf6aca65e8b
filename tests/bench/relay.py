"""P4's other yardstick: the way twice through Celery, by tasks that do nothing else."""

import random
import time
from typing import Final

import redis
from celery import current_app, shared_task

from doh.deliverers.celery import redis_url
from doh_tasks.queues import COLLECTION_QUEUE, ELEMENT_QUEUE
from tests.bench.figures import Series

_ARRIVED: Final = "bench:arrived"


@shared_task(name="bench.pass_on", ignore_result=True)
def pass_on() -> None:
    """Go on to an element worker, as an event does."""
    arrive.apply_async(queue=ELEMENT_QUEUE)


@shared_task(name="bench.arrive", ignore_result=True)
def arrive() -> None:
    """Say when."""
    arrived = time.time()
    _store().rpush(_ARRIVED, arrived)


def times(number: int, cold: int) -> Series:
    """Milliseconds from the sending of a first task to the beginning of a second."""
    store, taken = _store(), []
    for _ in range(cold + number):
        time.sleep(random.uniform(0.05, 0.15))
        start = time.time()
        pass_on.apply_async(queue=COLLECTION_QUEUE)
        _, arrived = store.blpop([_ARRIVED], timeout=60)
        taken.append((float(arrived) - start) * 1000)
    return Series.of(taken[cold:])


def _store() -> redis.Redis:
    return redis.Redis.from_url(redis_url(current_app))
