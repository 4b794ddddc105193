"""Settings of the old project: the database and `Q_CLUSTER` come from the environment, as JSON."""

import json
import os

# As in tests.site.settings: packages are signed with it.
SECRET_KEY = "the key of the tests, which guards nothing"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_q"]
DATABASES = {"default": json.loads(os.environ["PROJECT_DATABASE"])}
Q_CLUSTER = json.loads(os.environ["PROJECT_Q_CLUSTER"])
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ["PROJECT_CACHE"],
    }
}
