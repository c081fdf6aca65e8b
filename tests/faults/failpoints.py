"""Named points at which a worker kills itself, once, when a file of that name is laid out.

The product knows nothing of them: the fault suite's Celery app wraps its functions. Without
``DOH_FAILPOINTS`` (the folder of those files) in the environment nothing is wrapped.
"""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

VARIABLE = "DOH_FAILPOINTS"

#: Row 1: where a worker dies while it sends.
SENDING = (
    "after-claim",
    "after-connect",
    "mid-body",
    "after-2xx",
    "before-commit",
    "after-commit",
    "before-ack",
)
#: Row 1 too: where a worker dies while it fans out.
COLLECTING = ("before-fan-out", "after-slice")
#: Row 13: the two windows of a chord, and the two of its body.
CHORD = ("before-count", "before-body", "before-result-hook", "after-result-hook")

_counting: ContextVar[bool] = ContextVar("counting", default=False)


class Armory:
    """Lays the files out and sees whether a worker has come by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def arm(self, name: str, whole_group: bool = False) -> None:
        """The next worker process that comes to this point dies, with its group or alone."""
        waiting = self._folder / f".{name}"
        waiting.write_text("group" if whole_group else "")
        waiting.rename(self._folder / name)

    def is_armed(self, name: str) -> bool:
        return (self._folder / name).exists()

    def disarm(self) -> None:
        """Take back what nobody came by."""
        for path in self._folder.iterdir():
            path.unlink(missing_ok=True)


def hit(name: str) -> None:
    """Die here if the point is armed; of several processes exactly one does."""
    folder = Path(os.environ[VARIABLE])
    path, taken = folder / name, folder / f".{name}-{os.getpid()}"
    with suppress(FileNotFoundError):
        path.rename(taken)
        whole_group = taken.read_text() == "group"
        (os.killpg if whole_group else os.kill)(
            os.getpgid(0) if whole_group else os.getpid(), signal.SIGKILL
        )


def install() -> None:
    """Wrap the functions whose beginnings and ends are failpoints."""
    if VARIABLE not in os.environ:
        return
    _journal()
    _pump()
    _chords()
    _acknowledgements()


def _journal() -> None:
    from doh.deliverers import results
    from doh.journal.postgres import PostgresJournal

    _wrap(PostgresJournal, "claim_batch", after="after-claim", only=lambda claim: claim is not None)
    _wrap(PostgresJournal, "_write_batches", before="before-fan-out")
    _wrap(
        PostgresJournal,
        "fan_out_at_once",
        before="before-fan-out",
        after="after-slice",
        only=_has_rings,
    )
    _wrap(PostgresJournal, "commit_slice", after="after-slice", only=lambda found: bool(found[0]))
    _wrap(PostgresJournal, "flush", before="after-2xx", after="after-commit")
    _wrap(PostgresJournal, "_disable_hooks", after="before-commit")
    _wrap(results, "_run", before="before-result-hook", after="after-result-hook")


def _has_rings(found: Any) -> bool:
    return found is not None and bool(found.rings)


def _pump() -> None:
    from doh_tasks.pump.sockets import Sockets
    from doh_tasks.pump.transfer import Line

    heard = Sockets.on_change

    @wraps(heard)
    def on_change(self: Sockets, events: int, fd: int, *rest: Any) -> None:
        heard(self, events, fd, *rest)
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as connected:
            connected.getpeername()
            hit("after-connect")

    Sockets.on_change = on_change  # type: ignore[method-assign]
    _wrap(Line, "write", before="mid-body")


def _chords() -> None:
    """Celery counts a chord's headers in the workers, and whoever is last publishes the body."""
    from celery.backends.redis import RedisBackend
    from celery.canvas import Signature

    counted = RedisBackend.on_chord_part_return

    @wraps(counted)
    def count(*args: Any, **kwargs: Any) -> Any:
        hit("before-count")
        token = _counting.set(True)
        try:
            return counted(*args, **kwargs)
        finally:
            _counting.reset(token)

    delayed = Signature.delay

    @wraps(delayed)
    def delay(*args: Any, **kwargs: Any) -> Any:
        if _counting.get():
            hit("before-body")
        return delayed(*args, **kwargs)

    RedisBackend.on_chord_part_return = count
    Signature.delay = delay


def _acknowledgements() -> None:
    from celery.signals import task_postrun

    from doh.names import DELIVER_BATCH

    def ran(sender: Any = None, **_: Any) -> None:
        if getattr(sender, "name", None) == DELIVER_BATCH:
            hit("before-ack")

    task_postrun.connect(ran, weak=False)


def _wrap(
    owner: Any,
    name: str,
    before: str | None = None,
    after: str | None = None,
    only: Callable[[Any], bool] = lambda _result: True,
) -> None:
    wrapped = getattr(owner, name)

    @wraps(wrapped)
    def run(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            hit(before)
        result = wrapped(*args, **kwargs)
        if after is not None and only(result):
            hit(after)
        return result

    setattr(owner, name, run)
