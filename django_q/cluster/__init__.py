"""The processes of one `qcluster`.

The names are found when they are used, so that a spawned child can import its entry before Django
is set up.
"""

from django_q.signposts import signposts

__all__ = ["Cluster", "Sentinel", "set_cpu_affinity"]

__getattr__ = signposts(__name__)
