"""A broker that hands out every task message three times, for the processes that ask for it."""

import os
from functools import wraps
from typing import Any

VARIABLE = "DOH_REPEATED"
TIMES = 3


def install() -> None:
    """Publish each task message so many times, if the environment says so."""
    if VARIABLE not in os.environ:
        return
    from kombu import Producer

    published = Producer.publish

    @wraps(published)
    def publish(self: Producer, body: Any, *args: Any, **kwargs: Any) -> Any:
        if "task" in (kwargs.get("headers") or {}):
            for _ in range(TIMES - 1):
                published(self, body, *args, **kwargs)
        return published(self, body, *args, **kwargs)

    Producer.publish = publish
