"""Saves at an even pace, and how soon each of them arrives."""

import random
import time
from collections.abc import Sequence
from typing import Final

from django.db.models import Max
from vehicles.models import Vehicle

from doh.models import Event
from tests.bench import stage
from tests.bench.figures import Series
from tests.bench.receiver import Receiver
from tests.bench.watching import until

#: Saves in a second; and how many of them, if there are noisy ones, are such.
PER_SECOND: Final = 50
SHARE: Final = 0.2
_SEED: Final = 9


def arrivals(
    receiver: Receiver, quiet: Sequence[Vehicle], noisy: Sequence[Vehicle], seconds: float
) -> Series:
    """Milliseconds from each save of a quiet one to its arrival; all of them must arrive."""
    last = Event.objects.aggregate(last=Max("pk"))["last"] or 0
    receiver.forget()
    begun = _save(quiet, noisy, seconds)
    events = Event.objects.filter(pk__gt=last).order_by("pk").values_list("uid", "object_id")
    keys = {str(bus.pk) for bus in quiet}
    started = {
        uid: start for (uid, key), start in zip(events, begun, strict=True) if key in keys
    }  # fmt: skip
    until(lambda: started.keys() <= {one.event for one in receiver.seen()}, 300)
    came = {one.event: one.came for one in receiver.seen()}
    return Series.of([(came[uid] - start) * 1000 for uid, start in started.items()])


def warm_up(receiver: Receiver, buses: Sequence[Vehicle]) -> None:
    """Save for a second: the first ones pay for connections and imports."""
    arrivals(receiver, buses, [], 1.0)
    stage.settle()


def _save(quiet: Sequence[Vehicle], noisy: Sequence[Vehicle], seconds: float) -> list[float]:
    """Save for so long; returns when each save began."""
    chance = random.Random(_SEED)
    start = time.time()
    begun = []
    for number in range(int(seconds * PER_SECOND)):
        time.sleep(max(0.0, start + number / PER_SECOND - time.time()))
        loud = noisy and chance.random() < SHARE
        bus = chance.choice(noisy if loud else quiet)
        begun.append(time.time())
        bus.save()
    return begun
