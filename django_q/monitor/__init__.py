"""What operators look at: figures of clusters, queues, tasks and schedules, and their screens."""

from django_q.monitor.overview import Overview, look
from django_q.monitor.screen import overview_lines
from django_q.signposts import signposts
from django_q.status import Stat

__all__ = ["Overview", "Stat", "look", "overview_lines"]

__getattr__ = signposts(__name__)
