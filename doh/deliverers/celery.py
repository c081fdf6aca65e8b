"""Ring Celery's workers: say by name and id that something is due, quickly or not at all.

A message here is only a doorbell. One that is lost costs time, never an event: the sweep looks
at the ledger.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import redis
from celery import Celery, current_app
from redis.backoff import NoBackoff
from redis.retry import Retry

from doh import conf
from doh.exceptions import HookConfigurationError
from doh.fields import decrypt, encrypt
from doh.journal import Ring
from doh.names import COLLECT, DELIVER_BATCH, FINISH, POST_ONCE, SWEEP

logger = logging.getLogger(__name__)

DOORBELL_KEY: Final = "doh:doorbell"
#: What is rung for, each at a key of its own.
_KEYS: Final = {COLLECT: DOORBELL_KEY, FINISH: f"{DOORBELL_KEY}:results"}
#: Deletes the key (KEYS[1]) if it holds the token (ARGV[1]).
_TAKE_OFF: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"
)
#: Seconds during which nobody rings after ringing failed.
REST: Final = 5.0
#: Seconds that an unattached POST is kept for a worker.
_POST_KEPT: Final = 3600


def redis_url(app: Celery) -> str | None:
    """URL of the Redis that the doorbell lives in: the setting, the broker or the results."""
    own = conf.redis_url()
    if own is not None:
        return own
    for url in (app.conf.broker_write_url, app.conf.broker_url, app.conf.result_backend):
        if isinstance(url, str) and url.startswith(conf.REDIS_SCHEMES):
            return url.split(";")[0]
    return None


@dataclass(frozen=True, slots=True)
class Survey:
    """What the current Celery app's settings offer the deliverers.

    ``visibility_timeout`` is in seconds, None where the broker has none; ``sweep`` is true where
    the schedule can't be known.
    """

    broker: bool
    redis: bool
    results: bool
    sweep: bool
    visibility_timeout: float | None


def survey() -> Survey:
    """Look at the current Celery app."""
    conf_of = current_app.conf
    options = conf_of.broker_transport_options or {}
    timeout = options.get("visibility_timeout")
    entries = conf_of.beat_schedule or {}
    scheduler = conf_of.beat_scheduler
    return Survey(
        broker=bool(conf_of.broker_url or conf_of.broker_write_url),
        redis=redis_url(current_app) is not None,
        results=bool(conf_of.result_backend),
        sweep=scheduler != "celery.beat:PersistentScheduler"
        or any(entry.get("task") == SWEEP for entry in entries.values()),
        visibility_timeout=None if timeout is None else float(timeout),
    )


class Doorbell:
    """One process's way to ring, over connections of its own with short timeouts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resting_until = 0.0
        self._producer: Any = None
        self._redis: redis.Redis | None = None
        self._made_for: tuple[object, ...] = ()

    def ring(self, task: str = COLLECT) -> bool:
        """Have due events collected, or result hooks run: one message per period, whoever rings.

        Never raises and never waits long: what can't be said now is left to the sweep.
        """
        return self._safely(task.rpartition(".")[2], lambda: self._ring(task))

    def publish(self, rings: Iterable[Ring]) -> bool:
        """Have batches delivered; False if no worker could be told."""
        messages = [(DELIVER_BATCH, list(ring)) for ring in rings]
        return self._safely("deliver", lambda: self._send(messages))

    def post_once(self, path: str, target: str, payload: str) -> bool:
        """Have one unattached POST made: its target and payload stay out of the message."""
        token = uuid4().hex
        sealed = encrypt(json.dumps([path, target, payload]))

        def send() -> None:
            self._store().set(f"doh:post:{token}", sealed, ex=_POST_KEPT)
            self._send([(POST_ONCE, [token])])

        return self._safely("post", send)

    def take_post(self, token: str) -> tuple[str, str, str] | None:
        """The unattached POST that a message speaks of: deliverer path, target, payload."""
        self._prepare()
        sealed: Any = self._store().getdel(f"doh:post:{token}")
        if sealed is None:
            return None
        path, target, payload = json.loads(decrypt(sealed.decode()))
        return path, target, payload

    def answered(self, token: str, task: str = COLLECT) -> None:
        """Take the doorbell off: whoever rings from now on gets a task of their own.

        Only the doorbell that the message was sent for: after an outage a queue may be full of
        old ones, and each that made room for a new one would keep it full.
        """
        self._safely("answer", lambda: self._take_off(task, token))

    def _ring(self, task: str) -> None:
        period, token = int(conf.doorbell_period() * 1000), uuid4().hex
        if self._has_store() and not self._store().set(_KEYS[task], token, nx=True, px=period):
            return
        try:
            self._send([(task, [token])])
        except Exception:
            if self._has_store():
                self._take_off(task, token)
            raise

    def _take_off(self, task: str, token: str) -> None:
        self._store().eval(_TAKE_OFF, 1, _KEYS[task], token)

    def _safely(self, what: str, action: Any) -> bool:
        with self._lock:
            if time.monotonic() < self._resting_until:
                return False
            try:
                self._prepare()
                action()
            except Exception as error:  # noqa: BLE001 - any broker, any client, any fault
                self._rest(what, error)
                return False
        return True

    def _rest(self, what: str, error: Exception) -> None:
        self._resting_until = time.monotonic() + REST
        self._close()
        logger.warning(
            "Could not ring to %s (%s: %s): the next sweep finds what is due. Resting for %g s.",
            what,
            type(error).__name__,
            error,
            REST,
        )

    def _prepare(self) -> None:
        """Make the connections for the app that is current, and anew when that changes."""
        app: Celery = current_app._get_current_object()  # type: ignore[attr-defined]
        wanted = (os.getpid(), app, app.conf.broker_url, redis_url(app))
        if self._made_for == wanted:
            return
        if self._made_for and self._made_for[0] != os.getpid():
            # A fork: these are the parent's sockets, and saying good-bye over them would be too.
            self._producer = self._redis = None
        self._close()
        if not app.conf.broker_url and not app.conf.broker_write_url:
            raise HookConfigurationError("Celery has no broker_url: there is nobody to ring.")
        url = redis_url(app)
        self._redis = None if url is None else redis_client(url, conf.ring_timeout())
        self._producer = _producer(app)
        self._made_for = wanted

    def _has_store(self) -> bool:
        return self._redis is not None

    def _store(self) -> redis.Redis:
        if self._redis is None:
            raise HookConfigurationError(
                "Set HOOK_REDIS_URL: neither broker nor results are Redis."
            )
        return self._redis

    def _send(self, messages: Iterable[tuple[str, list[Any]]]) -> None:
        for name, args in messages:
            current_app.send_task(
                name,
                args,
                producer=self._producer,
                retry=False,
                ignore_result=True,
                timeout=conf.ring_timeout(),
                confirm_timeout=conf.ring_timeout(),
            )

    def _close(self) -> None:
        self._made_for = ()
        for resource in (self._producer and self._producer.connection, self._redis):
            try:
                if resource is not None:
                    getattr(resource, "collapse", resource.close)()
            except Exception:  # noqa: BLE001, S110 - it is being thrown away
                pass
        self._producer = self._redis = None


def redis_client(url: str, timeout: float) -> redis.Redis:
    """A client that gives up after so many seconds, and never tries twice."""
    client: redis.Redis = redis.Redis.from_url(
        url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return client


def _producer(app: Celery) -> Any:
    """A producer on a connection that gives up within the ring timeout."""
    timeout = conf.ring_timeout()
    options = dict(app.conf.broker_transport_options or {})
    if str(app.conf.broker_url).startswith(conf.REDIS_SCHEMES):
        options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        options |= {"retry_on_timeout": False, "max_retries": 0}
    else:
        options |= {"read_timeout": timeout, "write_timeout": timeout, "max_retries": 0}
    connection = app.connection_for_write(connect_timeout=timeout, transport_options=options)
    return app.amqp.Producer(connection, auto_declare=False)


doorbell = Doorbell()
