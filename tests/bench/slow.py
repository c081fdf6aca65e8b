"""P10: receivers that take their time, a few that take very long, and some that never answer."""

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tests.bench import stage
from tests.bench.bare import Bare, Prepared
from tests.bench.figures import Figure, Series, at_least
from tests.bench.receiver import Receiver, nginx
from tests.bench.run import Run, requests_of

#: Kinds of receivers, and how many of a thousand are such: 150 ms in the middle, 1 % take very
#: long, 0.5 % longer than anybody waits.
SHARES: Final = {"a": 185, "b": 200, "c": 300, "d": 200, "e": 100, "slow": 10, "never": 5}
_SECONDS: Final = {"a": 0.05, "b": 0.1, "c": 0.15, "d": 0.2, "e": 0.4, "never": 3600.0}
_SLOW: Final = "slow"
_NEVER: Final = "never"
#: As many as the documented workers have in the air: two processes, HOOK_MAX_IN_FLIGHT each.
IN_THE_AIR: Final = 4_000
#: Seconds after which the clock stops, whatever is still missing.
LONGEST: Final = 90.0


class Arrived(NamedTuple):
    """What came: POSTs per second to all receivers that answer, and to the quick ones of them."""

    answering: float
    quick: float
    missing: int


def p10(run: Run) -> Iterator[Figure]:
    """A host is as slow for all of its hooks; the clock stops when all that answer were reached."""
    number = run.scale.slow
    slow = _SECONDS | {_SLOW: run.scale.slowest}
    with nginx(run.stage.folder / "slow", run.scale.receivers, run.certificate, slow=slow) as at:
        stage.clear()
        bus = stage.vehicle()
        kinds = [_kind(n % len(at.hosts), len(at.hosts)) for n in range(number)]
        stage.hook_up([bus], [at.url(n, kind) for n, kind in enumerate(kinds)])
        requests = requests_of([bus])
        bare, ours = [], []
        for _ in range(run.repeat):
            bare.append(_measured(at, kinds, lambda: _loop(requests, kinds)))
            # Each time nothing is known of the hosts: no circuit is open, nobody is slow.
            stage.forget_events()
            stage.forget_limits()
            with run.stage.workers():
                ours.append(_measured(at, kinds, bus.save))
                run.stage.drop()
    stage.forget_limits()
    share = f"1 % {run.scale.slowest:g} s, 0.5 % never"
    what = f"{number:,} hooks, {len(at.hosts):,} hosts of 150 ms ({share}): until"
    beside = f"bare loop, {IN_THE_AIR:,} in the air"
    yield _beside(f"{what} all that answer were reached", ours, bare, 0, beside, 0.5)
    yield _beside(f"{what} the quick ones were", ours, bare, 1, beside)
    lost = Series.of([float(one.missing) for one in ours])
    yield Figure("P10", f"not reached within {LONGEST:g} s", "POSTs", lost)


def _beside(
    what: str, ours: list[Arrived], bare: list[Arrived], place: int, beside: str, share: float = 0
) -> Figure:
    mine, theirs = (Series.of([one[place] for one in side]) for side in (ours, bare))
    if share:
        return at_least(share, "P10", what, "POST/s", mine, beside, theirs)
    return Figure("P10", what, "POST/s", mine, beside, theirs)


def _loop(requests: list[Prepared], kinds: list[str]) -> None:
    loop = Bare(IN_THE_AIR)
    loop.run(requests, len(kinds) - kinds.count(_NEVER))
    loop.close()


def _measured(receiver: Receiver, kinds: list[str], work: Callable[[], object]) -> Arrived:
    """POSTs per second of a piece of work, by the moments at which the receivers got them."""
    answering = len(kinds) - kinds.count(_NEVER)
    quick = sum(kind not in (_SLOW, _NEVER) for kind in kinds)
    receiver.forget()
    start = time.time()
    work()
    receiver.wait_for(answering, LONGEST, strict=False)
    came: dict[str, float] = {}
    for one in receiver.seen():
        came.setdefault(one.path, one.came - start)
    prompt = [when for path, when in came.items() if path.split("/")[1] not in (_SLOW, _NEVER)]
    return Arrived(
        len(came) / _last(list(came.values()), answering),
        len(prompt) / _last(prompt, quick),
        answering - len(came),
    )


def _last(times: list[float], wanted: int) -> float:
    """When the last came; if not all of them did, that is not before the clock was stopped."""
    return max(times) if len(times) == wanted else LONGEST


def _kind(host: int, hosts: int) -> str:
    """What kind of receiver a host is: the kinds are spread evenly."""
    place = host * 1_000 // hosts * 389 % 1_000
    for kind, share in SHARES.items():
        if place < share:
            return kind
        place -= share
    raise AssertionError("the shares are of a thousand")
