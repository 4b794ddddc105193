"""Nonsense of all kinds for what reads text of others: `python -m tests.fuzz --help`."""
