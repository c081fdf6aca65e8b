"""P7 and P8: cold TLS, idle processes."""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.bench import stage
from tests.bench.figures import Figure, Series, at_least, at_most
from tests.bench.receiver import nginx
from tests.bench.run import Run, fanned_out, requests_of
from tests.bench.watching import Spent

COLD_AT_ONCE = 100
ALONE = "alone"


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
    seconds = run.scale.idle
    stage.clear()
    with run.stage.workers(run.stage.deployment() | _alone(run.stage.folder)) as running:
        time.sleep(min(10, seconds))
        names = running.roots()
        used = [_used(names, seconds) for _ in range(run.repeat)]
    kinds = [name for name in used[0] if not name.startswith(ALONE)]
    for kind in kinds:
        share = Series.of([one[kind] for one in used])
        yield Figure("P8", f"idle for {seconds:g} s: {kind}", "% of a core", share)
    mine, others = [kind for kind in kinds if kind in names], names.keys() - kinds
    ours, alone = (Series.of([sum(map(one.get, some)) for one in used]) for some in (mine, others))
    what, beside = "idle: workers and beat together", "Celery's own, without a task"
    yield at_most(2, "P8", what, "% of a core", ours, beside, alone)


def _used(names: Mapping[str, Iterable[int]], seconds: float) -> dict[str, float]:
    """Percent of a core that each of these and the servers use in the next seconds."""
    spent = Spent(names)
    time.sleep(seconds)
    return {name: 100 * found / seconds for name, found in spent.seconds().items()}


def _alone(folder: Path) -> dict[str, list[str]]:
    """Processes like the deployment's, with nothing in them but Celery."""
    celery = ["celery", "-A", "tests.bench.alone_app"]
    worker = [*celery, "worker", "-l", "INFO", "--without-gossip"]
    pools = (["-c", "1"], ["-P", "threads", "-c", "4"], ["-P", "threads", "-c", "4"])
    return {
        f"{ALONE}{place}": [*worker, "-n", f"{ALONE}{place}@%h", *pool]
        for place, pool in enumerate(pools)
    } | {f"{ALONE}-beat": [*celery, "beat", "-l", "INFO", "-s", str(folder / "alone-beat")]}
