"""Measurements that anyone can run; see docs/performance."""
