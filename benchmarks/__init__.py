"""Measurements that anyone can run, of Django Q and its peers; see docs/performance."""
