"""A process that posts to many hostile receivers at once, and says what that cost it."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import django

from doh.types import Answer

#: POSTs at once of the eventlet deliverer, and threads that save at once.
EVENTLET_AT_ONCE, THREADS = 100, 50


def memory() -> float:
    """What the process holds, in MB, at its most since the last `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def forget_peak() -> None:
    """Have the kernel count the peak anew."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Post to what is good, to have everything loaded; then to one kind after the other."""
    asked = json.load(sys.stdin)
    from tests.wire import transports

    transport = getattr(transports, asked["kind"])(ca_bundle=asked["ca_bundle"], limits=(4.0, 6.0))
    good, number = asked["good"], asked["number"]
    neighbours = [transports.job_for(good) for _ in range(number)]
    send_all(transport, neighbours)
    forget_peak()
    before = memory()
    found, grown = {}, {}
    for name, url in asked["urls"].items():
        jobs = [transports.job_for(url) for _ in range(number)]
        replies = send_all(transport, [*jobs, *neighbours])
        fine = [one for one in replies if isinstance(one, Answer) and one.body == b"thanks"]
        found[name] = {"ended": len(replies) - number, "good": len(fine)}
        grown[name] = round(memory() - before, 1)
    json.dump({"grown": grown, "found": found}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def send_all(transport, jobs):
    """As many at once as the deliverer of that transport has: all, or what fits its pool."""
    if hasattr(transport, "post_all"):
        return transport.post_all(jobs)
    if type(transport).__name__ == "Green":
        import eventlet

        return list(eventlet.GreenPool(EVENTLET_AT_ONCE).imap(transport.post, jobs))
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(transport.post, jobs))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    main()
