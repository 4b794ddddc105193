"""The backend for the package `django-tasks`, Django's task framework for Django 5.2.

`TASKS = {"default": {"BACKEND": "django_q.backport.DjangoQBackend"}}`
"""

from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task

from django_q.framework.door import Door
from django_q.framework.task_class import task_class

__all__ = ["DjangoQBackend", "DjangoQTask"]

DjangoQTask = task_class(Task, __name__)


class DjangoQBackend(Door, BaseTaskBackend):  # type: ignore[override]
    """Sends the tasks of `django_tasks` to the clusters of Django Q."""

    framework = "django_tasks"
    task_class = DjangoQTask
