"""The site that is measured: the same for every peer, but for the apps and settings it asks for."""

from typing import Any

from benchmarks.scene import Scene

_SCENE = Scene.here()

SECRET_KEY = "a key that guards nothing but measurements"  # noqa: S105
DEBUG = False
USE_TZ = True
DATABASES = {"default": _SCENE.database}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]


def _ours() -> dict[str, Any]:
    place = {"redis": _SCENE.url} if _SCENE.broker == "redis" else {"orm": "default"}
    side_by_side = "async_concurrency" if _SCENE.variant == "async" else "threads"
    return {
        **place,
        "workers": _SCENE.workers,
        side_by_side: _SCENE.concurrency or 1,
        "save_limit": 0 if _SCENE.stores else -1,
        # No worker is replaced half-way: its start would be measured.
        "recycle": 10_000_000,
    }


def _django_q2() -> dict[str, Any]:
    place = {"redis": _SCENE.url} if _SCENE.broker == "redis" else {"orm": "default"}
    return {
        **place,
        "workers": _SCENE.workers,
        "save_limit": 0 if _SCENE.stores else -1,
        "recycle": 10_000_000,
        # Its default is to take one package at a time.
        "bulk": 100,
        "queue_limit": 500,
        "retry": 600,
        "log_level": "WARNING",
    }


if _SCENE.peer in ("ours", "django-q2"):
    INSTALLED_APPS.append("django_q")
    Q_CLUSTER = _ours() if _SCENE.peer == "ours" else _django_q2()
elif _SCENE.peer == "procrastinate":
    INSTALLED_APPS.append("procrastinate.contrib.django")
    PROCRASTINATE_IMPORT_PATHS = ["benchmarks.peers.procrastinate"]
elif _SCENE.peer == "django-tasks-db":
    INSTALLED_APPS += ["django_tasks", "django_tasks_db"]
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
