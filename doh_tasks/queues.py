"""Names: the tasks, the queues they go to, and when beat calls them.

One module declares every queue, and web processes and workers both use it: RabbitMQ refuses a
publish to a queue that was declared with other arguments.
"""

from typing import Any, Final

from kombu import Exchange, Queue

from doh.names import COLLECT, DELIVER_BATCH, FINISH, POST_ONCE, SWEEP

PRUNE: Final = "doh_tasks.maintenance.prune"
DISABLE_FAILING: Final = "doh_tasks.maintenance.disable_failing"
RETRY: Final = "doh_tasks.retries.retry"
REPORT: Final = "doh_tasks.dead_letter.report"

COLLECTION_QUEUE: Final = "doh.collection"
ELEMENT_QUEUE: Final = "doh.element"
#: The slow lane: retries, and whatever goes to hosts that are slow or failing.
SLOW_QUEUE: Final = "doh.element_slow"
MAINTENANCE_QUEUE: Final = "doh.maintenance"
DEAD_LETTER_QUEUE: Final = "doh.dead_letter"

#: For Celery's ``imports``: the modules that define the tasks, or listen to the worker.
TASK_MODULES: Final = (
    "doh_tasks.collection",
    "doh_tasks.element",
    "doh_tasks.results",
    "doh_tasks.retries",
    "doh_tasks.dead_letter",
    "doh_tasks.maintenance",
    "doh_tasks.metrics",
    "doh_tasks.heartbeat",
)

#: For Celery's ``task_routes``.
TASK_ROUTES: Final = {
    COLLECT: {"queue": COLLECTION_QUEUE},
    DELIVER_BATCH: {"queue": ELEMENT_QUEUE},
    POST_ONCE: {"queue": ELEMENT_QUEUE},
    FINISH: {"queue": MAINTENANCE_QUEUE},
    SWEEP: {"queue": MAINTENANCE_QUEUE},
    PRUNE: {"queue": MAINTENANCE_QUEUE},
    DISABLE_FAILING: {"queue": MAINTENANCE_QUEUE},
    RETRY: {"queue": MAINTENANCE_QUEUE},
    REPORT: {"queue": DEAD_LETTER_QUEUE},
}

#: Times that RabbitMQ hands out a message of a queue before it goes to the dead letters.
DELIVERY_LIMIT: Final = 5

SWEEP_EVERY: Final = 4.0
PRUNE_EVERY: Final = 3600.0
DISABLE_FAILING_EVERY: Final = 3600.0
#: Seconds after which such a message is worth nothing. Celery compares it with the worker's clock:
#: one that is ahead by more than this would throw every sweep away.
EXPIRES: Final = 3600.0


def task_queues(broker_url: str) -> tuple[Queue, ...]:
    """For Celery's ``task_queues``: on RabbitMQ quorum queues, which survive a broker."""
    rabbit = broker_url.startswith(("amqp", "pyamqp"))
    names = (COLLECTION_QUEUE, ELEMENT_QUEUE, SLOW_QUEUE, MAINTENANCE_QUEUE, DEAD_LETTER_QUEUE)
    return tuple(_queue(name, rabbit) for name in names)


def beat_schedule() -> dict[str, dict[str, Any]]:
    """For Celery's ``beat_schedule``; what piled up while no worker was there expires."""
    entries = (
        (SWEEP, SWEEP_EVERY),
        (PRUNE, PRUNE_EVERY),
        (DISABLE_FAILING, DISABLE_FAILING_EVERY),
    )
    return {
        name: {"task": name, "schedule": every, "options": {"expires": EXPIRES}}
        for name, every in entries
    }


def _queue(name: str, rabbit: bool) -> Queue:
    arguments: dict[str, Any] = {}
    if rabbit:
        arguments["x-queue-type"] = "quorum"
        if name != DEAD_LETTER_QUEUE:
            arguments |= {
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": DEAD_LETTER_QUEUE,
            }
    return Queue(
        name, Exchange("doh", type="direct"), routing_key=name, queue_arguments=arguments or None
    )
