"""Deliver with eventlet: many POSTs at once in one thread, which needs no monkey-patching.

Only the sockets of these POSTs are green. The hub belongs to the calling thread, and every
database access stays in the greenlet that called.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache
from threading import Thread
from typing import Any, ClassVar

from doh import conf
from doh.deliverers.base import HooksDeliverer
from doh.deliverers.kinds import Transport
from doh.deliverers.sending import Sender, Sent, transport_options
from doh.dispatch import Job
from doh.wire.connections import dial
from doh.wire.guard import Address
from doh.wire.lookups import Found
from doh.wire.outcome import judge
from doh.wire.request import Request
from doh.wire.requests_transport import RequestsTransport


class EventletHooksDeliverer(HooksDeliverer):
    """A collection deliverer that sends concurrently; the element setting is not used."""

    transport: ClassVar[Transport] = "eventlet"

    @classmethod
    def _sender(cls) -> Sender | None:
        return send_with_eventlet


def send_with_eventlet(jobs: Iterable[Job]) -> Iterator[Sent]:
    """As many at once as ``HOOK_EVENTLET_CONCURRENCY`` allows, each over a green socket."""
    _import_eventlet()
    import eventlet
    import eventlet.queue

    transport = _green_transport()
    limit = conf.eventlet_concurrency()
    pool = eventlet.GreenPool(limit)
    done: Any = eventlet.queue.LightQueue()
    under_way = 0
    try:
        for job in jobs:
            if under_way >= limit:
                yield done.get()
                under_way -= 1
            pool.spawn_n(_post, transport, job, job.request(), done.put)
            under_way += 1
        for _ in range(under_way):
            yield done.get()
    finally:
        transport.close()


@cache
def _import_eventlet() -> None:
    """Import what is used of it, in a thread that nobody joins.

    It executes Python's ``threading`` once more, and that takes over how the importing thread tells
    of its end: whoever joined it, as a pool of threads does when it stops, would wait for ever.
    """
    imported: Future[None] = Future()

    def run() -> None:
        try:
            import eventlet.green.socket
            import eventlet.green.ssl
            import eventlet.queue

            # A hub is imported when a thread first needs one.
            eventlet.hubs.get_hub()
            imported.set_result(None)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
            imported.set_exception(error)

    Thread(target=run, name="doh-eventlet", daemon=True).start()
    imported.result()


def _post(
    transport: RequestsTransport, job: Job, request: Request, done: Callable[[Sent], None]
) -> None:
    reply, response = transport.post(request)
    done(Sent(job, judge(reply, job.place.endpoint, job.hook.drift), response))


def _green_transport() -> RequestsTransport:
    """A transport for one run, since the connections in its pool belong to this thread's hub."""
    context = _green_ssl_context(conf.ca_bundle())
    return RequestsTransport(
        replace(transport_options(), dial=_green_dial, wait=_green_wait, ssl_context=context)
    )


def _green_dial(address: Address, timeout: float | None) -> socket.socket:
    from eventlet.green import socket as green

    return dial(address, timeout, green.socket)


def _green_wait(asked: "Future[Found]", seconds: float) -> Found:
    """Wait for a look-up in another thread while the other greenlets go on."""
    from eventlet.hubs import trampoline

    ear, bell = socket.socketpair()
    with ear, bell:
        asked.add_done_callback(lambda _: _ring(bell))
        trampoline(ear, read=True, timeout=seconds, timeout_exc=TimeoutError)
        return asked.result(0)


def _ring(bell: socket.socket) -> None:
    with suppress(OSError):  # Whoever waited has gone.
        bell.send(b"!")


@lru_cache(maxsize=4)
def _green_ssl_context(ca_bundle: str | None) -> Any:  # noqa: ARG001 - urllib3 loads it
    """One context for each bundle: what was trusted once stays trusted in a context."""
    from eventlet.green import ssl as green

    return green.SSLContext(green.PROTOCOL_TLS_CLIENT)
