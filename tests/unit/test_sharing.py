"""What the process that forks has loaded, and what it lets alone."""

import json
import subprocess
import sys

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
