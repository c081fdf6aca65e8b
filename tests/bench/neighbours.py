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
#: How much longer 99 of 100 may take than without the dead; and milliseconds that half of them take
#: without the dead, from which on that is not judged.
LIMIT: Final = 1.5
OVERLOADED: Final = 500.0
#: The path below which nobody ever answers.
_DEAD: Final = "dead"
_BESIDE: Final = "without them"


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
        # By turns: a machine among others is quicker in one minute than in the next.
        rounds = [
            [_arrivals(run, receiver, healthy, noise) for noise in ([], holes, crowd)]
            for _ in range(run.repeat)
        ]
    alone, beside_holes, beside_crowd = zip(*rounds, strict=True)
    percent = f"{pace.SHARE:.0%} of {pace.PER_SECOND} saves a second for {run.scale.noise:g} s"
    noises = {
        f"{BLACK_HOLES} black holes of {HEALTHY + BLACK_HOLES} targets": beside_holes,
        f"{run.scale.crowd:,} targets on one dead host": beside_crowd,
    }
    for noise, times in noises.items():
        what = f"healthy targets beside {noise}, {percent}"
        yield _judged(f"{what}: 99 of 100 arrive within", times, alone)
        half = [_within(0.5, rounds) for rounds in (times, alone)]
        yield Figure("P9", f"{what}: half of them", "ms", half[0], _BESIDE, half[1])


def _within(share: float, rounds: Sequence[Series]) -> Series:
    """Milliseconds within which such a share arrived, round by round."""
    return Series.of([one.at(share) for one in rounds])


def _judged(what: str, times: Sequence[Series], alone: Sequence[Series]) -> Figure:
    """Workers that are behind even without the dead tell nothing of neighbours."""
    ours, yardstick = _within(0.99, times), _within(0.99, alone)
    want = f"<= {LIMIT:g} x"
    if _within(0.5, alone).median > OVERLOADED:
        return Figure("P9", what, "ms", ours, _BESIDE, yardstick, f"{want} (overloaded)")
    met = ours.median <= LIMIT * yardstick.median
    return Figure("P9", what, "ms", ours, _BESIDE, yardstick, want, met)


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
