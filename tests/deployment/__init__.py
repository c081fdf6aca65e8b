"""Tests of what a user starts: the demo and the deployments."""
