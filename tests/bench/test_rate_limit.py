"""How close a rate limit is held over a minute by four workers, counted by the receiver.

Not part of the suite: ``make bench-rate-limit``, on a machine that does nothing else.
"""

from collections import Counter
from time import monotonic

import pytest

from doh.models import Hook
from tests.app.models import Vehicle
from tests.receiver import Receiver
from tests.tasks.conftest import broker, workers
from tests.workers import COLLECTION, ELEMENT

__all__ = ["broker", "workers"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

RATE = 100
WARM_UP, WINDOW = 5, 60
TOLERANCE = 0.05


class Clocked(Receiver):
    """A receiver that notes when each POST came."""

    def __init__(self):
        self.times = []
        super().__init__()

    def note(self, post):
        self.times.append(monotonic())
        super().note(post)


def test_a_limit_is_held_within_five_percent_over_a_minute(user, workers, capsys):
    bus = Vehicle.objects.create(name="55")
    with Clocked() as receiver:
        hooks = [
            Hook(user=user, content_object=bus, target=receiver.url("/"))
            for _ in range(RATE * (WARM_UP + WINDOW + 10))
        ]
        Hook.objects.bulk_create(hooks, batch_size=1000)
        running = workers(HOOK_RATE_LIMIT={"host": f"{RATE}/s"})
        running.worker("collection", COLLECTION)
        for number in range(4):
            running.worker(f"element{number}", ELEMENT)
        running.beat()
        bus.save()
        receiver.wait_for(lambda receiver: receiver.posts, 60)
        begin = receiver.times[0] + WARM_UP
        receiver.wait_for(
            lambda receiver: (
                receiver.times[-1] > begin + WINDOW or len(receiver.times) == len(hooks)
            ),
            WARM_UP + WINDOW + 60,
        )
        times = [moment - begin for moment in receiver.times]
    seconds = Counter(int(moment) for moment in times if 0 <= moment < WINDOW)
    found = seconds.total()
    with capsys.disabled():
        print(
            f"\n{RATE}/s for {WINDOW} s by 4 workers: {found} POSTs,"
            f" {found / (RATE * WINDOW) - 1:+.2%}; in one second {min(seconds.values())} to"
            f" {max(seconds.values())}"
        )
    assert abs(found - RATE * WINDOW) <= TOLERANCE * RATE * WINDOW
