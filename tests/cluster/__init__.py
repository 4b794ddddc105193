"""Whole clusters: real processes, real signals, real servers."""
