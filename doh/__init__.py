"""Webhooks on single objects: record what happened, deliver it to every hook, lose nothing."""

from doh.silence import silenced
from doh.version import VERSION as __version__

__all__ = ["__version__", "silenced"]
