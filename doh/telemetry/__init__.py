"""Metrics and traces for projects that want them: nothing is imported for the others."""

from doh.telemetry.seam import UNTRACED, Post, Telemetry, install, telemetry

__all__ = ["UNTRACED", "Post", "Telemetry", "install", "telemetry"]
