"""Limits: what may be sent now, by rate limits and circuit breakers that all workers share.

Their state lives in Redis, and is only ever touched by the two Lua scripts beside this file, which
document every key. Without Redis nothing is limited.
"""

from doh.status.circuits import Circuit
from doh_tasks.limits.admission import HOLD, admit
from doh_tasks.limits.reporting import BUSY, report, slow_hosts
from doh_tasks.limits.state import circuits, deferred

__all__ = [
    "BUSY",
    "HOLD",
    "Circuit",
    "admit",
    "circuits",
    "deferred",
    "report",
    "slow_hosts",
]
