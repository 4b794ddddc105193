"""Settings of a project with tasks of Django's framework; what differs is in the environment."""

import json
import os

import django

SECRET_KEY = "the key of the tests, which guards nothing"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_q"]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")
DATABASES = {"default": json.loads(os.environ["PROJECT_DATABASE"])}
Q_CLUSTER = json.loads(os.environ["PROJECT_Q_CLUSTER"])
TASKS = {
    "default": {
        "BACKEND": "django_q.backend.DjangoQBackend",
        "QUEUES": ["default", "other"],
        "OPTIONS": {"TASKS": {"jobs.hopeless": {"max_attempts": 2, "retry_delay": 0.1}}},
    },
    "late": {"BACKEND": "django_q.backend.DjangoQBackend", "OPTIONS": {"on_commit": True}},
}
