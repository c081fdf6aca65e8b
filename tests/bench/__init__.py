"""The benchmark: every figure beside its yardstick, on one machine, in one run."""
