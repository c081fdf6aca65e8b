"""A stream of saves beside the pruning of a large ledger, and without it."""

import time
from collections.abc import Callable, Iterator

from celery import current_app
from vehicles.models import Vehicle

from doh import conf
from doh.models import Delivery
from doh_tasks.queues import PRUNE
from tests.bench import ledger, pace, stage
from tests.bench.figures import Figure, Series
from tests.bench.receiver import Receiver
from tests.bench.run import HOSTS, Run, check
from tests.bench.watching import until


def prune(run: Run) -> Iterator[Figure]:
    """Everything in the ledger is old enough to be forgotten; the workers are told to."""
    rows = run.scale.old
    ledger.fill(rows, 0, days=conf.keep_days() + 1)
    with run.receiver() as receiver:
        buses = stage.vehicles(HOSTS)
        stage.hook_up(buses, stage.targets(receiver, HOSTS), one_each=True)
        with run.stage.workers():
            pace.warm_up(receiver, buses)
            quiet, alone = _both(run, receiver, buses)
            pruned = _begin_to_prune()
            busy, beside = _both(run, receiver, buses)
            per_second = pruned()
            run.stage.drop()
    without = "without pruning"
    what = f"beside the pruning of {rows:,} deliveries"
    yield Figure("prune", f"stream of saves {what}", "POST/s", busy, without, quiet)
    for share, text in ((0.5, "half"), (0.99, "99 of 100")):
        ours, theirs = (Series.of([one.at(share)]) for one in (beside, alone))
        pace_of = f"{pace.PER_SECOND} saves a second {what}"
        yield Figure("prune", f"{pace_of}: {text} arrive within", "ms", ours, without, theirs)
    yield Figure("prune", "deliveries pruned meanwhile", "a second", Series.of([per_second]))


def _both(run: Run, receiver: Receiver, buses: list[Vehicle]) -> tuple[Series, Series]:
    """The rate of saves one after the other, and how soon those at an even pace arrive."""
    rate = _stream(receiver, buses, run.scale.streamed)
    return Series.of([rate]), pace.arrivals(receiver, buses, [], run.scale.streamed)


def _stream(receiver: Receiver, buses: list[Vehicle], seconds: float) -> float:
    """POSTs per second while one save follows the other, until the last has arrived."""
    receiver.forget()
    start, number = time.time(), 0
    while time.time() < start + seconds:
        buses[number % len(buses)].save()
        number += 1
    receiver.wait_for(number)
    seen = receiver.seen()
    check(len({one.event for one in seen}), number)
    return number / (max(one.answered for one in seen) - start)


def _begin_to_prune() -> Callable[[], float]:
    """Have it begin; returns what tells how many went per second, which must not be all."""
    old = Delivery.objects.filter(pk__lte=Delivery.objects.latest("pk").pk)
    rows = old.count()
    current_app.send_task(PRUNE)
    until(lambda: old.count() < rows)
    start, before = time.monotonic(), old.count()

    def pruned() -> float:
        left = old.count()
        return (before - left) / (time.monotonic() - start)

    return pruned
