"""The least that a deliverer of webhooks does: read hooks, sign, POST, write what came of it.

A bare loop on each core that does all of that itself: no broker, no claims, no guard, and a crash
would lose what is under way. No deliverer that does more makes more of a machine.
"""

import time
from collections.abc import Iterator, Sequence

from django.db import connection, connections
from vehicles.models import Vehicle

from doh.fields import Keys, current_keys
from doh.journal import get_journal
from doh.models import Delivery, Hook
from doh.recipients import Recipient
from doh.version import USER_AGENT
from doh.wire.request import Message, Request, build_request, clock
from tests.bench.bare import Bare, Prepared, prepared
from tests.bench.receiver import Receiver
from tests.bench.run import IN_FLIGHT, check, on_each_core

_BATCH = 500
_WRITE = """
    COPY doh_delivery (event_id, hook_id, status, attempts, status_code, detail, host, updated_at)
    FROM STDIN
"""


def rate(vehicle: Vehicle, receiver: Receiver, number: int) -> float:
    """POSTs per second of one event to all the hooks of a vehicle."""
    keys = current_keys()
    ids = list(Hook.objects.filter(object_id=str(vehicle.pk)).values_list("pk", flat=True))
    for row in _read(ids):
        row.opened(keys)  # A worker knows its hooks, and so do those that are forked from here.
    message = Message("evt_least", "vehicles.vehicle.changed", str(vehicle.pk), time.time_ns())
    connections.close_all()
    receiver.forget()
    seconds = on_each_core(lambda core, cores: _deliver(ids[core::cores], message, keys))
    receiver.wait_for(number)
    check(Delivery.objects.filter(event_id=message.sequence).count(), number)
    return number / max(seconds)


def _deliver(ids: Sequence[int], message: Message, keys: Keys) -> float:
    """Seconds until all have been sent and written down."""
    loop = Bare(IN_FLIGHT)
    taken = loop.run(_requests(ids, message, keys), len(ids))
    loop.close()
    return taken


def _requests(ids: Sequence[int], message: Message, keys: Keys) -> Iterator[Prepared]:
    for start in range(0, len(ids), _BATCH):
        rows = _read(ids[start : start + _BATCH])
        yield from prepared(_signed(row, message, keys) for row in rows)
        _write(rows, message)


def _read(ids: Sequence[int]) -> list[Recipient]:
    return [Recipient(*row) for row in get_journal().read_hooks(ids)]


def _signed(row: Recipient, message: Message, keys: Keys) -> Request:
    place, keyring, _headers = row.opened(keys)
    return build_request(
        row.target,
        "{}",
        user_agent=USER_AGENT,
        timestamp=clock(),
        place=place,
        message=message,
        keyring=keyring,
    )


def _write(rows: Sequence[Recipient], message: Message) -> None:
    with connection.cursor() as cursor, cursor.copy(_WRITE) as copy:
        for row in rows:
            host = row.target.split("/")[2]
            copy.write_row(
                (message.sequence, row.id, "succeeded", 1, 204, "", host, "2026-01-01T00:00:00Z")
            )
