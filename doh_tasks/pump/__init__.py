"""The pump: what sends. One per worker process, over libcurl, many POSTs at once."""

from doh_tasks.pump.flight import Flight
from doh_tasks.pump.process import current_pump, stop_pump
from doh_tasks.pump.pump import Pump

__all__ = ["Flight", "Pump", "current_pump", "stop_pump"]
