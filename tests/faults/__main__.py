"""The command: `python -m tests.faults --run F1,F8 --broker redis --seed 7 --tasks 5000`."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import django


def main() -> int:
    """Run the scenarios that the command line names; 1 if one does not hold."""
    options = _arguments()
    os.environ["TEST_DIR"] = tempfile.mkdtemp(prefix="django-q-faults-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
    django.setup()
    from tests.faults.catalogue import SCENARIOS, run_scenario, stop_servers

    if options.list:
        for each in SCENARIOS.values():
            print(f"{each.id:4} {each.title} ({', '.join(each.brokers)})")
        return 0
    chosen = options.run.split(",") if options.run else list(SCENARIOS)
    unknown = [id for id in chosen if id not in SCENARIOS]
    if unknown:
        print(f"There is no scenario {unknown[0]}: see --list.", file=sys.stderr)
        return 2
    found = []
    try:
        for broker in options.broker.split(","):
            for id in chosen:
                if broker not in SCENARIOS[id].brokers:
                    continue
                for seed in map(int, options.seed.split(",")):
                    findings = run_scenario(id, broker, seed, options.tasks)
                    print(findings.line, flush=True)
                    for failure in findings.failures:
                        print(f"  FAILED: {failure}", flush=True)
                    if findings.failures:
                        print(f"  record: {findings.facts.get('record')}", flush=True)
                    found.append(findings)
    finally:
        stop_servers()
        shutil.rmtree(os.environ["TEST_DIR"], ignore_errors=True)
    if options.report:
        report = [{**vars(each), "line": each.line} for each in found]
        Path(options.report).write_text(json.dumps(report, indent=1, default=str))
    failed = sum(bool(each.failures) for each in found)
    print(f"{len(found) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--run", help="ids, such as F1,F8; by default all")
    parser.add_argument("--broker", default="redis", help="one or more, such as redis,postgres")
    parser.add_argument("--seed", default="1", help="one or more, such as 1,2,3")
    parser.add_argument("--tasks", type=int, default=5000, help="tasks of a drain")
    parser.add_argument("--report", help="write what was found into this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
