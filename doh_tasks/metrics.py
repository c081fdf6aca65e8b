"""The metrics endpoint of each worker process: ports in a row, one per process of the pool.

Processes share no counters, so each has an endpoint of its own, and Prometheus adds them up. The
process of index n in the pool listens at the port of ``HOOK_METRICS_LISTEN`` plus n; the one that
replaces it takes the same port. A worker with threads is one process, at the port itself.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from billiard.process import current_process
from celery.concurrency.thread import TaskPool as Threads
from celery.signals import celeryd_after_setup, worker_process_init

from doh import conf
from doh.telemetry import Gauge, brought, install
from doh_tasks.limits import circuits

#: States of a circuit that is not closed.
_STATES: Final = ("open", "half_open", "paused")

logger = logging.getLogger(__name__)


@worker_process_init.connect(dispatch_uid="doh.metrics")
def open_endpoint(**_: object) -> None:
    """Open this process's endpoint, if the settings want one; a worker works without, too."""
    listen = conf.metrics_listen()
    if listen is None:
        return
    host, port = listen[0], listen[1] + getattr(current_process(), "index", 0)
    try:
        from doh.telemetry.otel import OTel
        from doh.telemetry.prometheus import prometheus_meters, serve_beside

        serve_beside(host, port)
    except (ImportError, OSError) as error:
        logger.error("No metrics of this process at %s:%s: %s", host, port, error)
        return
    install(OTel(prometheus_meters()))


@celeryd_after_setup.connect(dispatch_uid="doh.metrics")
def open_endpoint_of_threads(instance: Any, **_: object) -> None:
    """Open the endpoint of a worker with threads, which tells nobody that its process begins."""
    if issubclass(instance.pool_cls, Threads):
        open_endpoint()


def _count_circuits() -> Iterator[tuple[float, dict[str, str]]]:
    """Nothing where Redis can't be asked."""
    found = circuits()
    if found is None:
        return
    states = Counter(one.state for one in found)
    for state in _STATES:
        yield states[state], {"doh.state": state}


brought.append(
    Gauge(
        "doh.circuits", "{host}", "Hosts whose circuit is not closed, up to 1,000.", _count_circuits
    )
)
