"""Settings of the measured site.

What differs comes from the environment, so that a cluster started by a benchmark sees the same:
`BENCH_Q_CLUSTER` and `BENCH_DATABASE`, both JSON.
"""

import json
import os

SECRET_KEY = "a key that guards nothing but measurements"  # noqa: S105
DEBUG = False
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django_q"]
DATABASES = {"default": json.loads(os.environ.get("BENCH_DATABASE", "{}"))}
Q_CLUSTER = json.loads(os.environ.get("BENCH_Q_CLUSTER", "{}"))
