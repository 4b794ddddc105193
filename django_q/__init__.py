"""A task queue for Django: a broker between your sites and your clusters."""

from typing import TYPE_CHECKING

from django_q.signposts import signposts

__version__ = "3.0.0a1"

#: The release as numbers, for code that compares.
VERSION = (3, 0, 0)

__all__ = ["VERSION", "__version__", "cluster", "conf", "models", "tasks"]

if not TYPE_CHECKING:  # or else any name would do for a type checker
    __getattr__ = signposts(__name__)
