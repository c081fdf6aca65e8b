"""Commands to try a deployment with."""
