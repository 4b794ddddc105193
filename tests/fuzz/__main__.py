"""The command: `python -m tests.fuzz --inputs 200000 --seed 1`.

Feeds nonsense to what reads packages, settings, schedules and the replies of servers, and prints
how often which outcome came. Each has to be a documented one: 1 when one is not, or when the
process died or hung over an input.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

#: Bytes of memory that the process may take: a bomb has to be refused before.
_MEMORY = 3 * 2**30


def main() -> int:
    """Run the inputs in a process of its own, which may die."""
    options = _arguments()
    if options.scratch:
        return _run(options, Path(options.scratch))
    with tempfile.TemporaryDirectory(prefix="django-q-fuzz-") as directory:
        scratch = Path(directory) / "input"
        line = [sys.executable, "-m", "tests.fuzz", *sys.argv[1:], "--scratch", str(scratch)]
        ended = subprocess.run(line, check=False).returncode
        if ended not in (0, 1, 2):
            _tell_death(ended, scratch)
    return min(ended, 1) if ended >= 0 else 1


def _run(options: argparse.Namespace, scratch: Path) -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    import django

    django.setup()
    from tests.fuzz import catalogue, runner

    targets = [each for each in catalogue.TARGETS if options.target in ("", each.name)]
    run = runner.Runner(targets, options.seed, scratch)
    run.replay()
    run.run(options.inputs)
    runner.tell(run)
    if options.keep:
        for target in targets:
            runner.keep(target, run.interesting[target.name])
    return 1 if run.findings else 0


def _tell_death(code: int | None, scratch: Path) -> None:
    from tests.fuzz import runner

    if not scratch.exists():
        print(f"FOUND: the process ended with {code} before the first input")
        return
    name, data = runner.last_input(scratch)
    print(f"FOUND in {name}: the process ended with {code} over the input {data[:300]!r}")
    (kept := Path(tempfile.gettempdir()) / "django-q-fuzz-input").write_bytes(data)
    print(f"  the whole of it: {kept}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="beside those that are kept")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same inputs")
    parser.add_argument("--target", default="", help="one target, such as cron; by default all")
    parser.add_argument("--keep", action="store_true", help="keep new kinds of inputs in corpus/")
    # The file in which the process that may die says what it is at.
    parser.add_argument("--scratch", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
