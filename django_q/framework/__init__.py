"""The second door: Django's task framework, `django.tasks` or its backport `django_tasks`.

`django_q.backend` and `django_q.backport` make one backend class each out of these parts.
"""
