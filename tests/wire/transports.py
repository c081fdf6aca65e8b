"""Everything that sends, behind one face: requests, the same over green sockets, libcurl."""

import queue
from collections import deque
from ipaddress import ip_network
from types import SimpleNamespace

from doh.context import CurrentHook
from doh.deliverers.eventlet import _green_dial, _green_ssl_context, _green_wait
from doh.dispatch import Job
from doh.journal import Owed
from doh.types import Failure
from doh.wire.connections import TransportOptions
from doh.wire.guard import Policy
from doh.wire.request import Message
from doh.wire.requests_transport import RequestsTransport
from doh.wire.signing import Keyring
from doh.wire.target import parse_target
from doh_tasks.pump.loop import Loop
from doh_tasks.pump.transfer import Limits

#: Connect and total timeout: plenty for what is to succeed, little for what is to be cut off.
PATIENT, HASTY = (20.0, 25.0), (0.5, 1.0)
LOOPBACK = Policy((ip_network("127.0.0.0/8"), ip_network("::1/128")), range(1, 65_536))


class Inline:
    """The requests transport."""

    def __init__(self, policy=LOOPBACK, ca_bundle=None, limits=PATIENT, **options):
        self._transport = RequestsTransport(TransportOptions(*limits, ca_bundle, policy, **options))

    def post(self, job):
        reply, self.response = self._transport.post(job.request())
        return reply

    def close(self):
        self._transport.close()


class Green(Inline):
    """The same over eventlet's sockets."""

    def __init__(self, policy=LOOPBACK, ca_bundle=None, limits=PATIENT):
        super().__init__(
            policy,
            ca_bundle,
            limits,
            dial=_green_dial,
            wait=_green_wait,
            ssl_context=_green_ssl_context(ca_bundle),
        )


class Curl:
    """The pump's loop; ``watcher`` is who looks at the answers, None if only at what they mean."""

    watcher = object

    def __init__(self, policy=LOOPBACK, ca_bundle=None, limits=PATIENT):
        self._replies = queue.SimpleQueue()
        self._loop = Loop(Limits(*limits, ca_bundle, policy), 1000, self)

    def landed(self, flight, job, reply):
        self._replies.put(reply)

    def cut(self, flight, left):
        self._replies.put(Failure("cut"))

    def post(self, job):
        return self.post_all([job])[0]

    def post_all(self, jobs):
        """Many at once; the replies come in the order of landing."""
        self.start(deque(jobs))
        return self.replies(len(jobs))

    def start(self, jobs):
        """Hand a deque of jobs to the loop."""
        flight = SimpleNamespace(
            jobs=jobs,
            watcher=self.watcher,
            lost=False,
            lease=SimpleNamespace(starts_until=float("inf")),
        )
        self._loop.launch(flight)

    def replies(self, number):
        """Wait for so many."""
        return [self._replies.get(timeout=60) for _ in range(number)]

    def close(self):
        self._loop.stop()


def job_for(target, body="{}", **fields):
    hook = CurrentHook(
        1, Keyring("whsec_" + "A" * 44), Message("evt_1", "a.b.c", "55", 7), **fields
    )
    return Job(Owed(1, 1), target, hook, body, parse_target(target), None)
