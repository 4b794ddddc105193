"""Settings of the test project.

What differs from test to test comes from the environment, so that a `qcluster` started by a test
sees the same: `TEST_DIR` (files), `TEST_Q_CLUSTER` (JSON), `TEST_POSTGRES_PORT`,
`TEST_MARIADB_PORT` and `TEST_ALIAS` (see `databases.py`).
"""

import json
import os
import tempfile

from . import databases

try:
    import MySQLdb  # noqa: F401 (the faster driver, where somebody has compiled it)
except ImportError:
    try:
        import pymysql
    except ImportError:
        pass
    else:
        # Django asks for the version of mysqlclient that PyMySQL stands in for.
        pymysql.version_info = (2, 2, 8, "final", 0)
        pymysql.install_as_MySQLdb()

_DIRECTORY = os.environ.get("TEST_DIR")

SECRET_KEY = "the key of the tests, which guards nothing"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.site.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django_q",
    # Apps that a test wants, by their paths.
    *os.environ.get("TEST_APPS", "").split(),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": databases.sqlite(_DIRECTORY), **databases.known()}
DATABASE_ROUTERS = ["tests.site.databases.Router"]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # Seen by every process of a test; the default one is not.
    "shared": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.path.join(_DIRECTORY or tempfile.gettempdir(), "cache"),
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

TASKS = {"default": {"BACKEND": "django_q.backend.DjangoQBackend", "QUEUES": []}}
Q_CLUSTER = json.loads(os.environ.get("TEST_Q_CLUSTER", "{}"))
