"""P7, P8 and P10: cold TLS, idle processes, slow receivers."""

import time
from collections.abc import Iterator

from tests.bench import stage
from tests.bench.bare import Bare
from tests.bench.figures import Figure, Series, at_least, at_most
from tests.bench.receiver import Receiver, nginx
from tests.bench.run import Run, check, fanned_out, requests_of
from tests.bench.watching import Spent

#: How long receivers take, in seconds, and how many of a thousand hooks have such a one: 150 ms in
#: the middle, 1 % take 10 s, 0.5 % never answer.
SLOWNESS = {"a": 0.05, "b": 0.1, "c": 0.15, "d": 0.2, "e": 0.4, "slow": 10.0, "never": 3600.0}
SHARES = {"a": 185, "b": 200, "c": 300, "d": 200, "e": 100, "slow": 10, "never": 5}
#: As many as the documented workers have in the air: two processes, HOOK_MAX_IN_FLIGHT each.
IN_THE_AIR = 4_000
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
    both = Series.of([sum(used[name] for name in names)])
    yield at_most(2, "P8", "idle: both workers and beat together", "% of a core", both)


def p10(run: Run) -> Iterator[Figure]:
    """Receivers that take their time, and some that never answer."""
    number, repeat = run.scale.slow, min(3, run.repeat)
    with nginx(run.stage.folder / "slow", 100, run.certificate, slow=SLOWNESS) as receiver:
        stage.clear()
        bus = stage.vehicle()
        stage.hook_up([bus], [receiver.url(n, _kind(n)) for n in range(number)])
        requests = requests_of([bus])
        bare = []
        for _ in range(repeat):
            loop = Bare(IN_THE_AIR)
            receiver.forget()
            start = time.time()
            loop.run(requests)
            loop.close()
            bare.append(number / _until_arrived(receiver, number, start))
        ours = []
        for _ in range(repeat):
            with run.stage.workers():
                receiver.forget()
                start = time.time()
                bus.save()
                ours.append(number / _until_arrived(receiver, number, start))
            stage.forget_events()
    what = f"{number:,} hooks, receivers of 150 ms (1 % 10 s, 0.5 % never): arrived"
    beside = f"bare loop, {IN_THE_AIR:,} in the air"
    yield at_least(0.5, "P10", what, "POST/s", Series.of(ours), beside, Series.of(bare))


def _kind(number: int) -> str:
    """The path of hook number so-and-so: the kinds are spread evenly."""
    place = number * 389 % 1_000
    for kind, share in SHARES.items():
        if place < share:
            return kind
        place -= share
    raise AssertionError("the shares are of a thousand")


def _until_arrived(receiver: Receiver, number: int, start: float) -> float:
    """Seconds until the last of the requests reached the receiver, whenever it was answered."""
    receiver.wait_for(number)
    came: dict[str, float] = {}
    for one in receiver.seen():
        came.setdefault(one.path, one.came)
    check(len(came), number)
    return max(came.values()) - start
