"""The pump of this process: made with the first batch, which is after a worker's fork."""

import gc
import os
import threading
from collections.abc import Callable
from typing import Final

from doh import conf
from doh.journal import Flushed, Journal
from doh_tasks.pump.pump import Pump

#: Objects made, less those that are gone, between two looks for garbage. A batch makes thousands
#: that go by themselves once it is written: to look at them meanwhile, at Python's usual 700, took
#: an element worker 4 % of its time. 20,000 take a few megabytes at most.
_PATIENCE: Final = 20_000

_lock = threading.Lock()
_pump: Pump | None = None
_owner: int | None = None


def current_pump(flushed: Callable[[Journal, Flushed], None]) -> Pump:
    """The pump of this process; the threads of a parent's did not survive the fork."""
    global _pump, _owner
    with _lock:
        if _pump is None or _owner != os.getpid():
            _pump, _owner = Pump(flushed), os.getpid()
            # What a worker has loaded by now, it keeps: to look through all that for garbage, over
            # and over, was a twentieth of what a POST costs.
            gc.freeze()
            gc.set_threshold(_PATIENCE)
        return _pump


def stop_pump() -> None:
    """Stop it: transfers end by the total timeout, then what is left is handed back."""
    global _pump
    with _lock:
        pump, _pump = _pump, None
    if pump is not None and _owner == os.getpid():
        pump.stop(conf.total_timeout() + 1)
