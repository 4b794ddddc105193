"""The command: `python -m tests.faults --run F1,F8 --broker redis --seed 7 --tasks 5000`.

`--tables REPORT...` renders reports that were written before into the tables of the docs.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import django


def main() -> int:
    """Run the scenarios that the command line names; 1 if one does not hold."""
    options = _arguments()
    os.environ["TEST_DIR"] = tempfile.mkdtemp(prefix="django-q-faults-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
    django.setup()
    # What `timeout` sends: the clusters are to end with us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        if options.list:
            return _list()
        if options.tables:
            return _render(options.tables)
        return _run(options)
    finally:
        shutil.rmtree(os.environ["TEST_DIR"], ignore_errors=True)


def _list() -> int:
    from tests.faults.catalogue import SCENARIOS

    for each in SCENARIOS.values():
        print(f"{each.id:4} {each.title} ({', '.join(each.brokers)})")
    return 0


def _render(reports: list[str]) -> int:
    from tests.faults.tables import render

    print(render([Path(report) for report in reports]), end="")
    return 0


def _run(options: argparse.Namespace) -> int:
    from tests.faults.catalogue import SCENARIOS, run_scenario, stop_servers
    from tests.faults.reports import write
    from tests.faults.scenario import runs

    chosen = options.run.split(",") if options.run else list(SCENARIOS)
    unknown = [id for id in chosen if id not in SCENARIOS]
    if unknown:
        print(f"There is no scenario {unknown[0]}: see --list.", file=sys.stderr)
        return 2
    found: list[Any] = []
    try:
        for id, broker in runs(options.system, chosen, options.broker.split(",")):
            for seed in map(int, options.seed.split(",")):
                found.append(run_scenario(id, broker, seed, options.tasks, options.system))
                _tell(found[-1])
                if options.report:
                    write(Path(options.report), found, options.tasks)
    finally:
        stop_servers()
    failed = sum(bool(each.failures) for each in found)
    print(f"{len(found) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _tell(findings: Any) -> None:
    print(findings.line, flush=True)
    for failure in findings.failures:
        print(f"  FAILED: {failure}", flush=True)
    if findings.failures:
        print(f"  record: {findings.record}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--run", help="ids, such as F1,F8; by default all")
    parser.add_argument("--broker", default="redis", help="one or more, such as redis,postgres")
    parser.add_argument("--seed", default="1", help="one or more, such as 1,2,3")
    parser.add_argument("--tasks", type=int, default=5000, help="tasks of a drain")
    parser.add_argument(
        "--system",
        default="django-q3",
        choices=("django-q3", "django-q2"),
        help="whose clusters: ours, or those we compare with",
    )
    parser.add_argument("--report", help="write what was found into this file, as JSON")
    parser.add_argument(
        "--tables", nargs="+", metavar="REPORT", help="render reports into the tables of the docs"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
