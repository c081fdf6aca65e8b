"""A file that a worker touches while it turns and reaches its broker: for whoever watches it.

Celery's heartbeat does it, every two seconds: from the loop of the main process, and only once the
one before it has gone out. A worker that hangs leaves the file as it is, and so does one without a
broker; ``deploy/compose/alive.py`` tells the two apart.
"""

import logging
from functools import cache
from pathlib import Path

from celery.signals import heartbeat_sent

from doh import conf

logger = logging.getLogger(__name__)


@heartbeat_sent.connect(dispatch_uid="doh.heartbeat")
def touch(**_: object) -> None:
    """Touch the file that the settings name, if they name one; a worker works without, too."""
    path = conf.heartbeat_path()
    if path is None:
        return
    try:
        Path(path).touch()
    except OSError as error:
        _complain(path, type(error).__name__)


@cache
def _complain(path: str, why: str) -> None:
    """Once: it would be every two seconds."""
    logger.error("HOOK_HEARTBEAT_PATH %s can't be touched: %s", path, why)
