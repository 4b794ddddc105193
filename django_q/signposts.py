"""Names that Django Q had in one module and that live in another one here: where each is.

A module of Django Q's says `__getattr__ = signposts(__name__)`. A name is looked up when it is
used, so importing such a module loads nothing, and a name may point upwards in the house.
"""

import importlib
from collections.abc import Callable
from typing import Any

#: Module -> name -> where it lives: `module:attribute`, or a whole module.
_PLACES = {
    # The face of Django Q until 0.7. Models can only be imported once Django is set up.
    "django_q": {
        "Cluster": "django_q.cluster:Cluster",
        "Failure": "django_q.models:Failure",
        "Stat": "django_q.status:Stat",
        "Success": "django_q.models:Success",
        **{
            name: f"django_q.tasks:{name}"
            for name in (
                *("Async", "AsyncTask", "Schedule", "Task", "async_task", "count_group"),
                *("delete_group", "fetch", "fetch_group", "get_broker", "queue_size", "result"),
                *("result_group", "schedule"),
            )
        },
    },
    # Children of a cluster import this package before Django is set up.
    "django_q.cluster": {
        "Cluster": "django_q.cluster.cluster:Cluster",
        "Sentinel": "django_q.cluster.cluster:Sentinel",
        "scheduler": "django_q.scheduler:scheduler",
        "set_cpu_affinity": "django_q.cluster.affinity:set_cpu_affinity",
    },
    # Test suites of brokers import this package before Django is set up.
    "django_q.testing": {
        "TaskQueue": "django_q.testing.site_queue:TaskQueue",
        "task_queue": "django_q.testing.site_queue:task_queue",
    },
    "django_q.conf": {
        "ErrorReporter": "django_q.reporters:ErrorReporter",
        "croniter": "croniter:croniter",
        "error_reporter": "django_q.reporters:error_reporter",
        "get_ppid": "os:getppid",
        "prometheus_multiprocess": "prometheus_client.multiprocess",
        "psutil": "psutil",
        "resource": "resource",
        "setproctitle": "setproctitle",
    },
    "django_q.monitor": {
        "get_ids": "django_q.monitor_terminal:get_ids",
        "info": "django_q.monitor_terminal:info",
        "memory": "django_q.monitor_terminal:memory",
        "monitor": "django_q.monitor_terminal:monitor",
    },
    "django_q.signals": {"call_hook": "django_q.recorder:call_hook"},
}
#: Libraries that a project may have or not; a name of one that is missing is None, as it was.
_OPTIONAL = ("croniter", "prometheus_client", "psutil", "resource", "setproctitle")


def signposts(module: str) -> Callable[[str], Any]:
    """Give the `__getattr__` of a module that hands names on."""

    def find(name: str) -> Any:
        place = _PLACES[module].get(name)
        if place is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        path, _, attribute = place.partition(":")
        try:
            found = importlib.import_module(path)
        except ImportError:
            if path.partition(".")[0] in _OPTIONAL:
                return None
            raise
        return getattr(found, attribute) if attribute else found

    return find
