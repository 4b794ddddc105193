"""Settings of the example site. What Django Q needs: one app and ``Q_CLUSTER``."""

import json
import os
from pathlib import Path

from website.databases import database_from

BASE_DIR = Path(__file__).resolve().parent.parent

# Good enough for a site that only listens on 127.0.0.1. Packages are signed with this key: a site
# that others can reach, or whose broker others can reach, needs a secret one.
SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY", "not-secret-only-for-the-example-site")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_q",
    "survey",
]

#: The embedded default: tasks wait in the project's own database, no server is needed. On Redis it
#: would be {"redis": "redis://127.0.0.1:6379/0"}. The tests choose by environment variable.
BROKER = json.loads(os.environ.get("EXAMPLE_Q_CLUSTER", '{"orm": "default"}'))

Q_CLUSTER = {
    "name": "example",
    "workers": max(2, min(os.cpu_count() or 2, 8)),
    "timeout": 60,
    # Keep every result. By default only the latest 250 successes stay, and one survey has more.
    "save_limit": 0,
    **BROKER,
}

DATABASES = {"default": database_from(os.environ, BASE_DIR)}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
ROOT_URLCONF = "website.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True
