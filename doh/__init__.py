"""Webhooks on single objects: record what happened, deliver it to every hook, lose nothing."""

from doh import version
from doh.silence import silenced

__version__ = version.VERSION

__all__ = ["__version__", "silenced"]
