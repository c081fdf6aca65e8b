"""P7 and P8: cold TLS, idle processes."""

import time
from collections.abc import Iterator

from tests.bench import stage
from tests.bench.figures import Figure, Series, at_least, at_most
from tests.bench.receiver import nginx
from tests.bench.run import Run, fanned_out, requests_of
from tests.bench.watching import Spent

COLD_AT_ONCE = 100


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
    """Workers and beat with nothing to do."""
    seconds = run.scale.idle
    stage.clear()
    with run.stage.workers() as running:
        time.sleep(min(10, seconds))
        names = running.roots()
        spent = Spent(names)
        time.sleep(seconds)
        used = {name: 100 * found / seconds for name, found in spent.seconds().items()}
    for name, share in used.items():
        yield Figure("P8", f"idle for {seconds:g} s: {name}", "% of a core", Series.of([share]))
    all_of_it = Series.of([sum(used[name] for name in names)])
    yield at_most(2, "P8", "idle: workers and beat together", "% of a core", all_of_it)
