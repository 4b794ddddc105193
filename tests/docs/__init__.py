"""The documentation tells the truth: its examples run, its names exist."""
