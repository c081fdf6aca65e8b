"""P9: what healthy targets notice of dead ones beside them."""

from collections.abc import Iterator, Sequence
from typing import Final

from vehicles.models import Vehicle

from tests.bench import pace, stage
from tests.bench.figures import Figure, Series
from tests.bench.receiver import Receiver, nginx
from tests.bench.run import Run

#: Targets, each on a host of its own; one more host is dead for many targets.
HEALTHY: Final = 100
BLACK_HOLES: Final = 10
#: The path below which nobody ever answers.
_DEAD: Final = "dead"


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
    percent = f"{pace.SHARE:.0%} of {pace.PER_SECOND} saves a second for {run.scale.noise:g} s"
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
    """With workers that know nothing of the hosts yet."""
    stage.forget_events()
    stage.forget_limits()
    with run.stage.workers():
        pace.warm_up(receiver, healthy)
        found = pace.arrivals(receiver, healthy, noise, run.scale.noise)
        run.stage.drop()
    return found
