"""What the rows take on the disk, with their indexes: hooks, deliveries, events."""

import json
from collections.abc import Iterator

from django.db import connection
from vehicles.models import Vehicle

from doh.events import send_event
from doh.models import Delivery, Event, Hook
from tests.bench import stage
from tests.bench.figures import Figure, Series
from tests.bench.run import Run, fanned_out

#: Bytes of an event's payload.
PAYLOAD = 200


def disk(run: Run) -> Iterator[Figure]:
    """Of tables in use: what was freed by the first half of the rows, the second half takes."""
    hooks, events = run.scale.hooks, run.scale.events // 4
    with run.receiver() as receiver:
        stage.clear()
        listened, single = stage.vehicle(), stage.vehicle("1")
        stage.hook_up([listened], stage.targets(receiver, hooks))
        yield _figure("hook", stage.size_of(Hook) / hooks)
        with run.stage.workers():
            fanned_out(listened, receiver, hooks)
            before = stage.size_of(Delivery)
            fanned_out(listened, receiver, hooks)
            yield _figure("delivery", (stage.size_of(Delivery) - before) / hooks)
            stage.hook_up([single], stage.targets(receiver, 1))
            _send(single, events)
            before = stage.size_of(Event)
            _send(single, events)
            what = f"event with a payload of {PAYLOAD} bytes"
            yield _figure(what, (stage.size_of(Event) - before) / events)
    stage.clear()


def _figure(what: str, size: float) -> Figure:
    return Figure("disk", f"{what}, with its indexes", "bytes", Series.of([size]))


def _send(vehicle: Vehicle, number: int) -> None:
    padding = "x" * (PAYLOAD - len(json.dumps({"text": ""})))
    for _ in range(number):
        send_event(vehicle, stage.ACTION, payload={"text": padding})
    stage.settle()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM doh_event")
