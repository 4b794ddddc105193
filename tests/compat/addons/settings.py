"""Settings of the project with add-ons; files and servers come from the environment."""

import json
import os

SECRET_KEY = "the key of the tests, which guards nothing"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_q",
    "django_q_registry",
    "django_q2_email_backend",
    "django_q_watchdog",
    "shop",
]
ROOT_URLCONF = "django_q_watchdog.urls"
DATABASES = {"default": json.loads(os.environ["PROJECT_DATABASE"])}
Q_CLUSTER = json.loads(os.environ["PROJECT_Q_CLUSTER"])
# The watchdog has to list keys, so it takes no other cache than Redis.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["PROJECT_CACHE"],
    }
}
Q2_EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
DJANGO_Q_EMAIL_BACKEND = Q2_EMAIL_BACKEND
EMAIL_FILE_PATH = os.path.join(os.getcwd(), "mails")
