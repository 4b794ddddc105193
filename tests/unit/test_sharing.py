"""What the process that forks has loaded, and what it lets alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: As `qcluster` does before it forks.
CODE = """
import json, sys
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x", INSTALLED_APPS=["django_q"], Q_CLUSTER={q_cluster!r},
    DATABASES={{
        "default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        "broken": {{"ENGINE": "backend.that.is.not.there"}},
    }},
)
django.setup()
import django_q.management.commands.qcluster
from django_q.cluster.cluster import Cluster
from django_q.cluster.sharing import prepare_fork
Cluster()
prepare_fork()
import gc
print(json.dumps([gc.get_freeze_count(), *sys.modules]))
"""
#: What belongs to the other brokers, to the admin, to screens, to tests, or is only seldom used.
UNNEEDED = {
    "boto3", "botocore", "blessed", "django.contrib.admin", "django.contrib.auth", "django.test",
    "django_q.admin", "django_q.backend", "django_q.brokers.aws_sqs", "django_q.brokers.disque",
    "django_q.brokers.ironmq", "django_q.brokers.memory", "django_q.framework", "django_q.monitor",
    "django_q.testing", "django_redis", "prometheus_client", "psutil", "psycopg", "pytest",
    "requests", "unittest", "urllib3",
}  # fmt: skip


@pytest.mark.parametrize(
    ("q_cluster", "client", "other"),
    [
        ({"orm": "default"}, "django_q.brokers.orm", "redis"),
        ({"redis": {}}, "redis", "django_q.brokers.orm"),
    ],
)
def test_what_children_need_is_loaded_before_the_fork_and_nothing_else(
    q_cluster: dict[str, object], client: str, other: str
) -> None:
    code = CODE.format(q_cluster=q_cluster)

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    frozen, *names = json.loads(told.stdout)
    loaded = set(names)
    assert {"django_q.cluster.roles", client, "django.db.backends.sqlite3.base"} <= loaded
    assert (UNNEEDED | {other}) & loaded == set()
    assert frozen > 10_000


#: A backend whose connections come from a pool, which has a thread, as that of PostgreSQL.
POOLED = """
import threading
from django.db.backends.sqlite3 import base
class DatabaseWrapper(base.DatabaseWrapper):
    end, thread = threading.Event(), None
    def get_new_connection(self, options):
        if DatabaseWrapper.thread is None:
            DatabaseWrapper.thread = threading.Thread(target=self.end.wait, daemon=True)
            DatabaseWrapper.thread.start()
        return super().get_new_connection(options)
    def close_pool(self):
        self.end.set()
        self.thread.join()
"""
#: Opens the pool from another thread, as a ping does.
OPEN_AND_FORK = """
import threading
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x", INSTALLED_APPS=["django_q"], Q_CLUSTER={"orm": "default"},
    DATABASES={
        "default": {"ENGINE": "pooled", "NAME": ":memory:"},
        "broken": {"ENGINE": "backend.that.is.not.there"},
    },
)
django.setup()
from django_q.cluster.cluster import Cluster
from django_q.cluster import supervisor, cluster
class Supervisor:
    def __init__(self, plan, context):
        print(context.get_start_method(), threading.active_count())
    def run(self):
        return 0
cluster.Supervisor = Supervisor
Cluster().run()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux")
def test_a_pool_of_connections_is_closed_before_the_fork(tmp_path: Path) -> None:
    (tmp_path / "pooled").mkdir()
    (tmp_path / "pooled" / "__init__.py").touch()
    (tmp_path / "pooled" / "base.py").write_text(POOLED)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    told = subprocess.run(
        [sys.executable, "-c", OPEN_AND_FORK], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip

    assert told.stdout.split() == ["fork", "1"]
    assert "not safe" not in told.stderr
