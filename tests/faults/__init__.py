"""Faults injected into real clusters, with counted outcomes: `python -m tests.faults --list`."""
