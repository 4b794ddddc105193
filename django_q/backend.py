"""The backend for Django's task framework: `django.tasks`, on Django 5.2 its backport.

`TASKS = {"default": {"BACKEND": "django_q.backend.DjangoQBackend"}}`
"""

import django

if django.VERSION >= (6, 0):
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task

    from django_q.framework.door import Door
    from django_q.framework.task_class import task_class

    DjangoQTask = task_class(Task, __name__)

    class DjangoQBackend(Door, BaseTaskBackend):  # type: ignore[misc, override]
        """Sends the tasks of `django.tasks` to the clusters of Django Q."""

        framework = "django.tasks"
        task_class = DjangoQTask
else:
    from django_q.backport import DjangoQBackend, DjangoQTask  # type: ignore[assignment]

__all__ = ["DjangoQBackend", "DjangoQTask"]
