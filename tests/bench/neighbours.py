"""P9: what healthy targets notice of dead ones beside them."""

import random
import time
from collections.abc import Iterator, Sequence
from typing import Final

from vehicles.models import Vehicle

from doh.models import Event
from tests.bench import stage
from tests.bench.figures import Figure, Series
from tests.bench.receiver import Receiver, nginx
from tests.bench.run import Run

#: Targets, each on a host of its own; one more host is dead for many targets.
HEALTHY: Final = 100
BLACK_HOLES: Final = 10
#: Of all events, and how many of those there are a second.
SHARE: Final = 0.2
PER_SECOND: Final = 50
#: The path below which nobody ever answers.
_DEAD: Final = "dead"
_SEED: Final = 9


def p9(run: Run) -> Iterator[Figure]:
    """Save at an even pace; the time from each save to its arrival, with and without the dead."""
    hosts = HEALTHY + BLACK_HOLES + 1
    with nginx(
        run.stage.folder / "neighbours", hosts, run.certificate, slow={_DEAD: 3600.0}
    ) as receiver:
        stage.clear()
        healthy = _hooked([receiver.url(n) for n in range(HEALTHY)])
        holes = _hooked([receiver.url(HEALTHY + n, _DEAD) for n in range(BLACK_HOLES)])
        dead = receiver.url(hosts - 1, _DEAD)
        crowd = _hooked([f"{dead}/{n}" for n in range(run.scale.crowd)])
        alone, beside_holes, beside_crowd = (
            _arrivals(run, receiver, healthy, noise) for noise in ([], holes, crowd)
        )
    percent = f"{SHARE:.0%} of {PER_SECOND} saves a second for {run.scale.noise:g} s"
    noises = {
        f"{BLACK_HOLES} black holes of {HEALTHY + BLACK_HOLES} targets": beside_holes,
        f"{run.scale.crowd:,} targets on one dead host": beside_crowd,
    }
    for noise, times in noises.items():
        what = f"healthy targets beside {noise}, {percent}"
        yield _at_most(1.5, f"{what}: 99 of 100 arrive within", times, alone, 0.99)
        yield _at_most(None, f"{what}: half of them", times, alone, 0.5)


def _at_most(limit: float | None, what: str, times: Series, alone: Series, share: float) -> Figure:
    ours, yardstick = times.at(share), alone.at(share)
    return Figure(
        "P9", what, "ms", Series.of([ours]), "without them", Series.of([yardstick]),
        "" if limit is None else f"<= {limit:g} x",
        None if limit is None else ours <= limit * yardstick,
    )  # fmt: skip


def _hooked(targets: list[str]) -> list[Vehicle]:
    """A vehicle for each target."""
    found = stage.vehicles(len(targets))
    stage.hook_up(found, targets, one_each=True)
    return found


def _arrivals(
    run: Run, receiver: Receiver, healthy: Sequence[Vehicle], noise: Sequence[Vehicle]
) -> Series:
    """Milliseconds from each save of a healthy one to its arrival; all must arrive."""
    stage.forget_events()
    stage.forget_limits()
    receiver.forget()
    with run.stage.workers():
        _save(healthy, [], 1.0)  # The first ones pay for connections and imports.
        warm = Event.objects.count()
        begun = _save(healthy, noise, run.scale.noise)
        keys = {str(bus.pk) for bus in healthy}
        events = list(Event.objects.order_by("pk").values_list("uid", "object_id")[warm:])
        wanted = [
            (uid, start)
            for (uid, key), start in zip(events, begun, strict=True) if key in keys
        ]  # fmt: skip
        receiver.wait_for(warm + len(wanted))
    came = {one.event: one.came for one in receiver.seen()}
    return Series.of([(came[uid] - start) * 1000 for uid, start in wanted])


def _save(healthy: Sequence[Vehicle], noise: Sequence[Vehicle], seconds: float) -> list[float]:
    """Save for so long, one in five a noisy one; returns when each save began."""
    chance = random.Random(_SEED)
    start = time.time()
    begun = []
    for number in range(int(seconds * PER_SECOND)):
        time.sleep(max(0.0, start + number / PER_SECOND - time.time()))
        loud = noise and chance.random() < SHARE
        bus = chance.choice(noise if loud else healthy)
        begun.append(time.time())
        bus.save()
    return begun
