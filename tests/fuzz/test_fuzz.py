"""A short run over nonsense, each time the same; `python -m tests.fuzz` is the long one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Inputs beside the corpus and the seeds, which are some twelve hundred.
INPUTS = 2000


def test_nonsense_has_only_documented_outcomes() -> None:
    line = [sys.executable, "-m", "tests.fuzz", "--inputs", str(INPUTS), "--seed", "1"]

    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "packages: " in done.stdout
