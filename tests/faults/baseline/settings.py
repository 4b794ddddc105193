"""Settings of the project on django-q2; database and `Q_CLUSTER` come from the environment."""

import json
import os

# Packages are signed with it.
SECRET_KEY = "the key of the tests, which guards nothing"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_q"]
DATABASES = {"default": json.loads(os.environ["BASELINE_DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = json.loads(os.environ["TEST_Q_CLUSTER"])
