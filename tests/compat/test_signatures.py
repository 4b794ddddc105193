"""Functions and methods take what those of django-q2 1.11 took, in the same order.

A default of `Conf.CACHED` or `Conf.SYNC` is None here, which says the same but at the call.
"""

import importlib
import inspect
import operator
from collections.abc import Callable
from typing import Any

import pytest
from django.core.signing import JSONSerializer

from django_q.cluster import Cluster
from django_q.status import Stat

_MORE = "cached=None, sync=None, broker=None"
_GROUP = "failures={}, wait=0, count=None"

#: Module -> function, class or method -> its parameters.
SIGNATURES: dict[str, dict[str, str]] = {
    "django_q.tasks": {
        "async_task": "func, *args, **kwargs",
        "schedule": "func, *args, **kwargs",
        "result": "task_id, wait=0, cached=None",
        "result_cached": "task_id, wait=0, broker=None",
        "result_group": f"group_id, {_GROUP.format(False)}, cached=None",
        "result_group_cached": f"group_id, {_GROUP.format(False)}, broker=None",
        "fetch": "task_id, wait=0, cached=None",
        "fetch_cached": "task_id, wait=0, broker=None",
        "fetch_group": f"group_id, {_GROUP.format(True)}, cached=None",
        "fetch_group_cached": f"group_id, {_GROUP.format(True)}, broker=None",
        "count_group": "group_id, failures=False, cached=None",
        "count_group_cached": "group_id, failures=False, broker=None",
        "delete_group": "group_id, tasks=False, cached=None",
        "delete_group_cached": "group_id, broker=None",
        "delete_cached": "task_id, broker=None",
        "queue_size": "broker=None",
        "async_iter": "func, args_iter, **kwargs",
        "async_chain": f"chain, group=None, {_MORE}",
        "Iter": f"func=None, args=None, kwargs=None, {_MORE}",
        "Iter.append": "self, *args",
        "Iter.run": "self",
        "Iter.result": "self, wait=0",
        "Iter.fetch": "self, wait=0",
        "Iter.length": "self",
        "Chain": f"chain=None, group=None, {_MORE}",
        "Chain.append": "self, func, *args, **kwargs",
        "Chain.run": "self",
        "Chain.result": "self, wait=0",
        "Chain.fetch": "self, failures=True, wait=0",
        "Chain.current": "self",
        "Chain.length": "self",
        "AsyncTask": "func, *args, **kwargs",
        "AsyncTask.run": "self",
        "AsyncTask.result": "self, wait=0",
        "AsyncTask.fetch": "self, wait=0",
        "AsyncTask.result_group": f"self, {_GROUP.format(False)}",
        "AsyncTask.fetch_group": f"self, {_GROUP.format(True)}",
    },
    "django_q.brokers": {
        "get_broker": "list_key=None",
        "Broker": "list_key=None",
        "Broker.enqueue": "self, task",
        "Broker.dequeue": "self",
        "Broker.acknowledge": "self, task_id",
        "Broker.fail": "self, task_id",
        "Broker.delete": "self, task_id",
        "Broker.purge_queue": "self",
        "Broker.delete_queue": "self",
        "Broker.queue_size": "self",
        "Broker.lock_size": "self",
        "Broker.ping": "self",
        "Broker.info": "self",
        "Broker.set_stat": "self, key, value, timeout",
        "Broker.get_stat": "self, key",
        "Broker.get_stats": "self, pattern",
        "Broker.get_cache": "",
        "Broker.get_connection": "list_key=None",
    },
    "django_q.brokers.redis_broker": {"Redis": "list_key=None"},
    "django_q.brokers.orm": {"ORM": "list_key=None", "ORM.timeout": "self, task"},
    "django_q.brokers.aws_sqs": {"Sqs": "list_key=None"},
    "django_q.brokers.mongo": {"Mongo": "list_key=None"},
    "django_q.brokers.ironmq": {"IronMQBroker": "list_key=None"},
    "django_q.brokers.disque": {"Disque": "list_key=None"},
    "django_q.cluster": {
        "Cluster": "broker=None",
        "Cluster.start": "self",
        "Cluster.stop": "self",
        "set_cpu_affinity": "n, process_ids, actual=True",
    },
    "django_q.status": {
        "Stat.get": "pid, cluster_id=None, broker=None",
        "Stat.get_all": "broker=None",
        "Stat.get_key": "cluster_id",
        "Stat.uptime": "self",
        "Stat.empty_queues": "self",
        "Status": "pid=None, cluster_id=None",
    },
    "django_q.models": {
        "Task.get_result": "task_id",
        "Task.get_result_group": "group_id, failures=False",
        "Task.get_group_count": "group_id, failures=False",
        "Task.delete_group": "group_id, objects=False",
        "Task.get_task": "task_id",
        "Task.get_task_group": "group_id, failures=True",
        "Task.group_result": "self, failures=False",
        "Task.group_count": "self, failures=False",
        "Task.group_delete": "self, tasks=False",
        "Task.time_taken": "self",
        "Schedule.calculate_next_run": "self, next_run=None",
        "Schedule.success": "self",
        "Schedule.last_run": "self",
        **{
            f"OrmQ.{name}": "self"
            for name in ("func", "task_id", "name", "group", "args", "kwargs", "q_options")
        },
    },
    "django_q.signals": {"call_hook": "sender, instance, **kwargs"},
    "django_q.signing": {
        "SignedPackage.dumps": "obj, compressed=None",
        "SignedPackage.loads": "obj",
    },
    "django_q.core_signing": {
        "dumps": "obj, key=None, salt='django.core.signing', serializer=JSON, compress=False",
        "loads": "s, key=None, salt='django.core.signing', serializer=JSON, max_age=None",
    },
    "django_q.humanhash": {
        "humanize": "hexdigest, words=4, separator='-'",
        "HumanHasher.humanize": "self, hexdigest, words=4, separator='-'",
    },
    "django_q.monitor": {
        "monitor": "run_once=False, broker=None",
        "info": "broker=None",
        "memory": "run_once=False, workers=False, broker=None",
        "get_ids": "",
    },
}
#: Attributes of the objects in `django_q.tasks` that users read and set.
ATTRIBUTES = {
    "AsyncTask": "id started func args kwargs broker sync save hook group cached",
    "Iter": "id started func args kwargs broker cached sync",
    "Chain": "chain group broker cached sync started",
}


def shape(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults; what is keyword-only came later and harms no old call."""
    return [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in SIGNATURES for name in SIGNATURES[module]]
)
def test_a_call_of_django_q_still_fits(module: str, name: str) -> None:
    found = operator.attrgetter(name)(importlib.import_module(module))
    parameters = f"lambda {SIGNATURES[module][name]}: None"
    expected = shape(eval(parameters, {"JSON": JSONSerializer}))  # noqa: S307, text of this file

    assert shape(found)[: len(expected)] == expected
    more = shape(found)[len(expected) :]
    assert all(default is not inspect.Parameter.empty for _, _, default in more)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_objects_have_the_attributes_they_had(name: str, database: str, q_cluster: Any) -> None:
    q_cluster(orm="default")
    kind = getattr(importlib.import_module("django_q.tasks"), name)
    made = kind() if name == "Chain" else kind("tests.site.tasks.noop")

    for attribute in ATTRIBUTES[name].split():
        setattr(made, attribute, getattr(made, attribute))


def test_clusters_and_heartbeats_have_the_attributes_they_had(
    database: str, q_cluster: Any
) -> None:
    q_cluster(orm="default")
    cluster, stat = Cluster(), Stat("id", 1)

    for name in "name pid cluster_id host timeout sentinel stat broker".split():
        getattr(cluster, name)
    for name in "is_starting is_running is_stopping has_stopped".split():
        assert getattr(cluster, name) is False
    for name in """cluster_id pid host tob reincarnations sentinel status done_q_size task_q_size
                   monitor pusher workers timestamp key""".split():
        getattr(stat, name)
