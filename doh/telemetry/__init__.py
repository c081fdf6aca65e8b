"""Metrics and traces for projects that want them: nothing is imported for the others."""

from doh.telemetry.seam import UNTRACED, Gauge, Post, Telemetry, brought, install, telemetry

__all__ = ["UNTRACED", "Gauge", "Post", "Telemetry", "brought", "install", "telemetry"]
