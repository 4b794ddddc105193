"""A task queue for Django: a broker between your sites and your clusters."""

__version__ = "3.0.0a1"

#: The release as numbers, for code that compares.
VERSION = (3, 0, 0)

__all__ = ["VERSION", "__version__", "cluster", "conf", "models", "tasks"]
