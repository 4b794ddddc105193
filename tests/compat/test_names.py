"""Every name that applications, add-ons and the documentation of Django Q import is there."""

import importlib
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

import django_q
from django_q import cluster, conf, monitor, signals, tasks
from django_q.cluster.supervisor import Supervisor
from django_q.exceptions import DjangoQError
from django_q.signposts import _PLACES
from tests.processes import ROOT

#: Module -> the names in it: those of Django Q 1.3.9 and django-q2 1.11 that are used.
NAMES = {
    "django_q": "VERSION",
    "django_q.apps": "DjangoQConfig",
    "django_q.tasks": """
        async_task schedule result result_cached result_group result_group_cached fetch
        fetch_cached fetch_group fetch_group_cached count_group count_group_cached delete_group
        delete_group_cached delete_cached queue_size async_iter async_chain Iter Chain AsyncTask
        Async Task Schedule get_broker Conf SignedPackage uuid
        """,
    "django_q.models": """
        Task Success Failure Schedule OrmQ SuccessManager FailureManager validate_cron
        validate_kwarg
        """,
    "django_q.brokers": "Broker get_broker",
    "django_q.brokers.redis_broker": "Redis",
    "django_q.brokers.orm": "ORM",
    "django_q.brokers.aws_sqs": "Sqs",
    "django_q.brokers.mongo": "Mongo",
    "django_q.brokers.ironmq": "IronMQBroker",
    "django_q.brokers.disque": "Disque",
    "django_q.conf": """
        Conf logger error_reporter ErrorReporter get_ppid croniter psutil resource setproctitle
        prometheus_multiprocess
        """,
    "django_q.cluster": "Cluster Sentinel scheduler set_cpu_affinity",
    "django_q.scheduler": "scheduler",
    "django_q.status": "Stat Status",
    "django_q.signals": """
        pre_enqueue pre_execute post_execute post_execute_in_worker post_spawn call_hook
        """,
    "django_q.signing": "SignedPackage BadSignature PickleSerializer",
    "django_q.core_signing": "loads dumps Signer TimestampSigner BadSignature SignatureExpired",
    "django_q.humanhash": "uuid humanize HumanHasher DEFAULT_WORDLIST DEFAULT_HASHER",
    "django_q.exceptions": "TimeoutException",
    "django_q.admin": "TaskAdmin FailAdmin ScheduleAdmin QueueAdmin resubmit_task",
    "django_q.management.commands.qcluster": "Command",
    "django_q.management.commands.qmonitor": "Command",
    "django_q.management.commands.qinfo": "Command",
    "django_q.management.commands.qmemory": "Command",
    "django_q.monitor": "Stat monitor info memory get_ids",
    "django_q.monitor_terminal": "monitor info memory get_ids",
}
#: What one imported from the root until Django Q 0.7.
ROOT_NAMES = """
    async_task schedule result Task Schedule Success Failure Cluster Stat get_broker Async
    """


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in NAMES for name in NAMES[module].split()]
)
def test_a_name_of_django_q_is_there(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", ROOT_NAMES.split())
def test_the_face_of_0_7_is_still_the_root(name: str) -> None:
    exec(f"from django_q import {name}")  # noqa: S102, the form that users have


def test_the_root_loads_no_models_by_itself() -> None:
    program = "import django_q, sys; print(django_q.VERSION[0], 'django_q.tasks' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["3", "False"]


@pytest.mark.parametrize("module", [django_q, conf, cluster, monitor, signals])
def test_other_names_are_missing_as_anywhere(module: Any) -> None:
    with pytest.raises(AttributeError, match=f"'{module.__name__}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_names_lead_to_what_they_say() -> None:
    assert django_q.Cluster is cluster.Cluster
    assert cluster.Sentinel is Supervisor
    assert django_q.Async is tasks.AsyncTask
    assert django_q.Stat is monitor.Stat
    assert conf.get_ppid() > 0


def test_no_file_stands_in_the_way_of_a_signpost() -> None:
    """Once it is imported, a module of the same name would be what one gets."""
    for module, names in _PLACES.items():
        folder = ROOT / module.replace(".", "/")
        found = [name for name in names if (folder / name).exists()]
        assert found + [name for name in names if (folder / f"{name}.py").exists()] == []


def test_a_library_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setproctitle", None)
    monkeypatch.setitem(sys.modules, "croniter", None)

    assert (conf.setproctitle, conf.croniter) == (None, None)


def test_the_broker_that_is_gone_says_so() -> None:
    mongo: Any = importlib.import_module("django_q.brokers.mongo")

    with pytest.raises(ImproperlyConfigured, match="no MongoDB broker any more"):
        mongo.Mongo()


def test_the_old_monitor_process_is_told_from_the_screen() -> None:
    class Queue:
        def get(self) -> None: ...

    with pytest.raises(DjangoQError, match="workers save their results themselves"):
        monitor.monitor(Queue())


def test_the_old_function_prints_the_ids(
    database: str, q_cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    q_cluster(orm="default")

    assert monitor.get_ids() is True
    assert "No cluster is running" in capsys.readouterr().err
