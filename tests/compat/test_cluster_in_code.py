"""A cluster that a program starts and stops itself, as the documentation of Django Q shows."""

import json
import subprocess
import sys
from typing import Any

from tests.processes import ROOT

_PROGRAM = """
import json
import time
import django
django.setup()
from django_q.cluster import Cluster
from django_q.status import Stat
from django_q.tasks import async_task, result

cluster = Cluster()
told = [cluster.is_starting, cluster.is_running, cluster.has_stopped, cluster.stop()]
pid = cluster.start()
told += [pid == cluster.pid, cluster.is_running, cluster.is_starting, cluster.is_stopping]
told += [result(async_task("operator.add", 20, 22), wait=9000)]
while len((stat := Stat.get(pid, cluster.cluster_id)).workers) < 2:  # the other one boots
    time.sleep(0.05)
told += [stat.pid == pid, len(stat.workers), Stat.get(cluster.cluster_id).host == cluster.host]
told += [len(Stat.get_all()), cluster.stop(), cluster.is_running, cluster.has_stopped]
print(json.dumps(told))
"""


def test_a_program_starts_looks_at_and_stops_a_cluster(database: str, q_cluster: Any) -> None:
    q_cluster(orm=database, workers=2)

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    before, running, value, seen, after = (
        [False, False, False, False],
        [True, True, False, False],
        [42],
        [True, 2, True],
        [1, True, False, True],
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == before + running + value + seen + after, done.stderr
