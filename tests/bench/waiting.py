"""P7 and P8: cold TLS, idle processes."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from processes import celery

from doh_tasks import queues
from tests.bench import stage
from tests.bench.figures import Figure, Series, at_least, at_most
from tests.bench.receiver import nginx
from tests.bench.run import Run, fanned_out, requests_of
from tests.bench.watching import Spent

COLD_AT_ONCE = 100
ALONE = "alone"
_FOUR: Final = ("-P", "threads", "-c", "4")
_EIGHT: Final = ("-P", "threads", "-c", "8")
_ALL: Final = ",".join(
    (queues.COLLECTION_QUEUE, queues.MAINTENANCE_QUEUE, queues.ELEMENT_QUEUE, queues.SLOW_QUEUE)
)


def p7(run: Run) -> Iterator[Figure]:
    """One event to as many hosts, each with a handshake of its own."""
    number = run.scale.hosts
    with nginx(run.stage.folder / "tls", number, run.certificate, tls=True) as receiver:
        stage.clear()
        bus = stage.vehicle()
        stage.hook_up([bus], stage.targets(receiver, number))
        bare = run.bare(requests_of([bus]), COLD_AT_ONCE, ca_bundle=str(run.ca_bundle))
        with run.stage.workers():
            ours = Series.of([fanned_out(bus, receiver, number)[0] for _ in range(run.repeat)])
    what = f"cold TLS to {number:,} hosts"
    yield at_least(0.6, "P7", what, "POST/s", ours, "bare CurlMulti loop", bare)


def p8(run: Run) -> Iterator[Figure]:
    """Workers and beat with nothing to do, beside as many of Celery's that know no task.

    Both at once: what it costs a process to wake up for a moment differs from minute to minute.
    """
    stage.clear()
    usual = run.stage.deployment()
    small = {
        "worker": celery("worker", "-l", "INFO", "-Q", _ALL, *_EIGHT, "--without-gossip"),
        "beat": usual["beat"],
    }
    yield from _idle(run, "one worker for all queues and beat", small, [_EIGHT])
    pools = (("-c", "1"), _FOUR, _FOUR)
    yield from _idle(run, f"the documented {len(pools)} workers and beat", usual, pools)


def _idle(
    run: Run, what: str, deployment: dict[str, list[str]], pools: Iterable[Sequence[str]]
) -> Iterator[Figure]:
    seconds = run.scale.idle
    with run.stage.workers(deployment | _alone(run.stage.folder, pools)) as running:
        time.sleep(min(10, seconds))
        names = running.roots()
        used = [_used(names, seconds) for _ in range(run.repeat)]
    ours = [name for name in names if not name.startswith(ALONE)]
    both = [
        Series.of([sum(map(one.get, some)) for one in used]) for some in (ours, names.keys() - ours)
    ]
    what = f"idle for {seconds:g} s: {what}"
    beside = "as many of Celery's own, without a task"
    yield at_most(2, "P8", what, "% of a core", both[0], beside, both[1])
    for kind in (name for name in used[0] if not name.startswith(ALONE)):
        share = Series.of([one[kind] for one in used])
        yield Figure("P8", f"{what}: {kind}", "% of a core", share)


def _used(names: Mapping[str, Iterable[int]], seconds: float) -> dict[str, float]:
    """Percent of a core that each of these and the servers use in the next seconds."""
    spent = Spent(names)
    time.sleep(seconds)
    return {name: 100 * found / seconds for name, found in spent.seconds().items()}


def _alone(folder: Path, pools: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """Workers with these pools and beat, with nothing in them but Celery."""
    app = ["celery", "-A", "tests.bench.alone_app"]
    worker = [*app, "worker", "-l", "INFO", "--without-gossip"]
    return {
        f"{ALONE}{place}": [*worker, "-n", f"{ALONE}{place}@%h", *pool]
        for place, pool in enumerate(pools)
    } | {f"{ALONE}-beat": [*app, "beat", "-l", "INFO", "-s", str(folder / "alone-beat")]}
