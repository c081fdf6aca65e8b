"""The Redis that limits live in: scripts run on it, or the worker goes on without them."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import redis
from celery import current_app

from doh.deliverers.celery import redis_client, redis_url
from doh.signals import limits_unavailable
from doh.telemetry import telemetry

logger = logging.getLogger(__name__)

#: Seconds that a call may take, and during which nobody is asked after one failed.
TIMEOUT: Final = 2.0
REST: Final = 5.0
MICROSECONDS: Final = 1_000_000

#: The keys of one Redis: the braces keep them in one slot of a cluster.
VERSION: Final = "doh:{limits}:version"
WATCHED: Final = "doh:{limits}:watched"
BARRED: Final = "doh:{limits}:barred"
SLOW: Final = "doh:{limits}:slow"


def host_key(endpoint: str) -> str:
    """The hash of a host."""
    return f"doh:{{limits}}:host:{endpoint}"


def rate_key(kind: str, name: object = "") -> str:
    """The state of a rate limit."""
    return f"doh:{{limits}}:rate:{kind}:{name}"


def micro(seconds: float) -> int:
    """Seconds as the scripts want them."""
    return int(seconds * MICROSECONDS)


class Store:
    """One process's way to the limits; it rests for a while after a failure."""

    def __init__(self) -> None:
        self._resting_until = 0.0
        self._lock = threading.Lock()

    def is_reachable(self) -> bool:
        """Whether there is a Redis, as far as is known."""
        return _url() is not None and not self._is_resting()

    def run(self, script: str, keys: Sequence[str], asked: dict[str, Any]) -> Any:
        """What a script of this folder answers; None without a Redis, or if it is away."""

        def call(client: redis.Redis) -> Any:
            return client.register_script(_source(script))(keys, [json.dumps(asked)])

        return self.read(call)

    def read(self, call: Callable[[redis.Redis], Any]) -> Any:
        """What Redis answers to a call; None without a Redis, or if it is away."""
        url = _url()
        if url is None or self._is_resting():
            return None
        try:
            return call(_client(url))
        except redis.RedisError as error:
            self._rest(error)
            return None

    def _is_resting(self) -> bool:
        return time.monotonic() < self._resting_until

    def _rest(self, error: Exception) -> None:
        with self._lock:
            if self._is_resting():
                return
            self._resting_until = time.monotonic() + REST
        logger.warning(
            "The Redis of rate limits and circuit breakers does not answer (%s: %s): delivering"
            " without them for %g s",
            type(error).__name__,
            error,
            REST,
        )
        telemetry().unlimited()
        limits_unavailable.send(sender=Store, error=error)


store = Store()


def _url() -> str | None:
    return redis_url(current_app._get_current_object())  # type: ignore[attr-defined]


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    # Its pool makes new connections after a fork.
    return redis_client(url, TIMEOUT)


@lru_cache(maxsize=4)
def _source(script: str) -> str:
    return files(__package__).joinpath(script).read_text()
