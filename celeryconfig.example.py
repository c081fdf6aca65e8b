r"""Celery settings for a deployment of django-object-hooks, each with its reason.

Copy it beside your Celery app and load it: ``app.config_from_object("celeryconfig")``. Workers, of
element one for each core::

    celery -A project worker --without-gossip -n collection@%h \
        -Q doh.collection,doh.maintenance -c 1
    celery -A project worker --without-gossip -n element1@%h \
        -Q doh.element,doh.element_slow -P threads -c 4
    celery -A project worker --without-gossip -n element2@%h \
        -Q doh.element,doh.element_slow -P threads -c 4
    celery -A project beat

``--without-gossip``, for which there is no setting: nothing here needs a worker to hear every other
one's heartbeats. Idle workers and beat together used 1.7 % of a core with it, and 2.1 without.
"""

import os

from kombu import Queue

from doh_tasks.queues import TASK_MODULES, TASK_ROUTES, beat_schedule, task_queues

_redis = os.environ.get("REDIS_URL", "redis://localhost:6379/0")

broker_url = os.environ.get("CELERY_BROKER_URL", _redis)
# Chords count their headers here. It must be Redis: the database backend polls every second.
result_backend = os.environ.get("CELERY_RESULT_BACKEND", _redis)

imports = TASK_MODULES
# "celery" is for tasks of your own that name no queue: they stay off the hooks' queues.
task_queues = (*task_queues(broker_url), Queue("celery"))
task_routes = TASK_ROUTES
# Exactly one place declares the queues; a misspelt name must fail, not make a queue.
task_create_missing_queues = False
beat_schedule = beat_schedule()

# Messages hold ids only, and none of them needs a result but a chord's count.
task_serializer = result_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
result_expires = 3600

# A message is acknowledged when its task is over. Repeats are harmless: a batch's epoch tells
# a message that comes late from one that is due.
task_acks_late = True
# Batches are large: hold no more than there are threads, so that another worker finds some too.
worker_prefetch_multiplier = 1
# For collection, and whoever names no pool. Element workers name theirs: -P threads -c 4, one for
# each core. A process waits on one batch at a time; its threads share one pump, so a straggler
# holds up nobody. Two runs on two cores, a straggler in each batch (make bench-pools,
# docs/performance.md), two workers of 4 threads beside two prefork processes: one event to 20,000
# hooks 21,221 and 16,811 POST/s, not 21,863 and 23,712 (by turns without stragglers the same);
# small events 15,161 and 15,661, not 14,932 and 14,128; 99 of 100 of a stream within 16 and 20 ms,
# not 31 and 19. One worker of 8 threads made 12,412 and 10,511 POST/s of the large event. By turns
# two of 4 threads made 44 % of what a bare loop does, two of 8 threads 41.5: what a worker holds,
# the other can't take.
worker_pool = "prefork"
# Prefork alone: replace a child now and then; it hands back what it was sending.
worker_max_tasks_per_child = 10_000

# Limits for receivers are HOOK_RATE_LIMIT and Hook.rate_limit. This is a brake for a worker that
# must go easy on its machine, in batches for all its threads together: "20/s". None: it goes as
# fast as it can.
task_annotations = {"doh_tasks.element.deliver_batch": {"rate_limit": None}}

# At SIGTERM, tasks get this long before they are cancelled (seconds).
worker_soft_shutdown_timeout = 20
# Keep trying when the broker is away at the start and later on.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# Without a connection, unacknowledged messages belong to somebody else.
worker_cancel_long_running_tasks_on_connection_loss = False

# Task events halve what Redis moves. `celery -A project control enable_events` turns them on.
worker_send_task_events = False
task_send_sent_event = False
worker_hijack_root_logger = False

if broker_url.startswith(("amqp", "pyamqp")):
    # A publish counts once the broker has it.
    broker_transport_options = {"confirm_publish": True}
else:
    broker_transport_options = {
        # Longer than any lease (HOOK_LEASE) and any task; the sweep is faster than this anyway.
        "visibility_timeout": 3600,
        # Give a killed worker's messages back within seconds of that, not minutes.
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        # Take a worker's queues in the order of its -Q: first attempts before the slow lane.
        "queue_order_strategy": "priority",
        # kombu has no timeout of its own: a silent broker must not hang a worker.
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }
