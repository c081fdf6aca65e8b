"""The fault suite: kill, cut and fill what deliveries depend on, and count what became of them.

``python -m tests.faults --help`` says how to run it; docs/guarantees.md has its figures.
"""
