"""Threads beside the tasks, whose database connections outlive them.

Celery closes the connections of a task's thread before and after every task, and to open one takes
longer than most of what a task asks of it.
"""

import os
import select
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import Final, ParamSpec, TypeVar

from billiard.process import current_process
from celery import current_task
from celery.signals import worker_process_shutdown, worker_shutdown
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")

#: Threads, and so connections, of one process at most; a prefork child has one task at a time, and
#: so one of them.
_MOST: Final = 8


def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do a task's work on connections that stay open; right here if no worker runs the task."""
    if not current_task or current_task.request.called_directly:
        return work(*args, **kwargs)
    context = copy_context()
    return _threads(os.getpid()).submit(context.run, _run, lambda: work(*args, **kwargs)).result()


def _run(work: Callable[[], T]) -> T:
    for connection in connections.all(initialized_only=True):
        # Whatever happened since the last task: a restart, a time limit of the server's.
        if connection.connection is not None and not _stands(connection):
            connection.close()
    return work()


def _stands(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection can still be used.

    A server that ends one says so, even if nobody asks: where nothing has come, there is no need
    for a round trip before each task.
    """
    try:
        poller = select.poll()
        poller.register(connection.connection.fileno(), select.POLLIN)
        silent = not poller.poll(0)
    except Exception:  # noqa: BLE001 - it is closed, or its driver shows no socket
        silent = False
    return silent or connection.is_usable()


@lru_cache(maxsize=1)
def _threads(_process: int) -> ThreadPoolExecutor:
    """Those of this process: a parent's did not survive the fork."""
    is_child = hasattr(current_process(), "index")
    return ThreadPoolExecutor(1 if is_child else _MOST, thread_name_prefix="doh-aside")


@worker_process_shutdown.connect(dispatch_uid="doh.aside")
@worker_shutdown.connect(dispatch_uid="doh.aside")
def _on_shutdown(**_: object) -> None:
    _threads(os.getpid()).shutdown(wait=False)
