"""How fast a cluster drains no-op tasks, and what that costs: `python -m benchmarks.drain`.

The workers are up before the clock starts; the clock ends when everything is settled: each result
stored, nothing unacknowledged. CPU is that of the workers, user and system.
"""

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command

from benchmarks.ground import Tree, cpu_seconds, servers, wait_until


def main() -> None:
    """Measure as the command line says and print a line a run and the median."""
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with servers(options.broker, Path(name)) as (q_cluster, database):
            q_cluster |= {
                "workers": options.workers,
                "save_limit": options.save_limit,
                # No worker is replaced half-way: its CPU time would be lost to the count.
                "recycle": 100 * options.tasks,
                "log_level": "INFO",
            }
            os.environ["BENCH_Q_CLUSTER"] = json.dumps(q_cluster)
            os.environ["BENCH_DATABASE"] = json.dumps(database)
            os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
            django.setup()
            call_command("migrate", verbosity=0)
            runs = [_drain(options.tasks, options.save_limit) for _ in range(options.repeat)]
    _report(options, runs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain", description=__doc__)
    parser.add_argument("--broker", choices=("redis", "postgres", "sqlite"), default="redis")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--save-limit", type=int, default=0, help="0: all saved, -1: none")
    parser.add_argument("--json", action="store_true", help="print the runs as JSON")
    parser.add_argument("--limit", type=float, help="fail above so many us of CPU a task")
    return parser.parse_args()


def _drain(tasks: int, save_limit: int) -> dict[str, float]:
    from django_q.brokers import get_broker
    from django_q.models import Task
    from django_q.tasks import async_tasks

    broker = get_broker()
    broker.purge_queue()
    Task.objects.all().delete()
    tree = Tree()
    try:
        # Stopped while the queue is filled, so that all tasks wait when the clock starts.
        tree.signal(signal.SIGSTOP)
        began = time.perf_counter()
        async_tasks("benchmarks.tasks.noop", [()] * tasks)
        filled = time.perf_counter() - began
        cpu, began = cpu_seconds(tree.workers()), time.perf_counter()
        tree.signal(signal.SIGCONT)
        wait_until(lambda: broker.queue_size() + (broker.lock_size() or 0) == 0, 600)
        took = time.perf_counter() - began
        cpu = cpu_seconds(tree.workers()) - cpu
        if save_limit == 0 and (saved := Task.objects.filter(success=True).count()) != tasks:
            raise SystemExit(f"{tasks} tasks went in, {saved} results came out.")
    finally:
        tree.stop()
    return {
        "settled_per_second": tasks / took,
        "worker_cpu_us_per_task": cpu / tasks * 1e6,
        "enqueued_per_second": tasks / filled,
    }


def _report(options: argparse.Namespace, runs: list[dict[str, float]]) -> None:
    medians: dict[str, Any] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    if options.json:
        print(json.dumps({"options": vars(options), "runs": runs, "median": medians}, indent=2))
    else:
        for label, run in [
            *((f"run {n}", run) for n, run in enumerate(runs, 1)),
            ("median", medians),
        ]:
            print(
                f"{label:7} {run['settled_per_second']:9,.0f} settled/s"
                f" {run['worker_cpu_us_per_task']:7.1f} us CPU/task (workers)"
                f" {run['enqueued_per_second']:9,.0f} enqueued/s (bulk)"
            )
    cost = medians["worker_cpu_us_per_task"]
    if options.limit is not None and cost > options.limit:
        raise SystemExit(f"{cost:.1f} us of CPU a task is above the limit of {options.limit:g}.")


if __name__ == "__main__":
    main()
