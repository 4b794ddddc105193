"""The pages about brokers say what they should; who follows the one about his own gets there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import pages

BROKERS = pages.ROOT / "docs" / "brokers"
#: What one asks of every broker before choosing it.
SECTIONS = {"What it promises", "Settings", "Limits", "Cost", "Locally", "Reference"}
#: Those that keep packages for more than a test.
REAL = ("disque", "ironmq", "orm", "redis", "sqs")


def test_every_broker_is_in_the_tables() -> None:
    extras = set(re.findall(r"\| `\[(\w+)\]` \|", (pages.ROOT / "README.md").read_text()))
    there = {path.stem for path in BROKERS.glob("*.rst")} - {"index", "custom"}
    listed = re.findall(r"^    (\w+)$", (BROKERS / "index.rst").read_text(), re.MULTILINE)

    assert there <= set(listed)
    assert there - {"orm", "memory"} <= extras


@pytest.mark.parametrize("name", REAL)
def test_every_broker_answers_the_same_questions(name: str) -> None:
    text = (BROKERS / f"{name}.rst").read_text()

    headings = set(re.findall(r"^(.+)\n-+$", text, re.MULTILINE))
    assert headings >= SECTIONS
    assert "choose it" in text.lower()
    assert re.search(r"name of the\s+cluster that serves", text), "how a queue is called there"


def test_every_broker_is_described_and_compared() -> None:
    there = {path.stem for path in BROKERS.glob("*.rst")} - {"index", "custom", "memory"}

    assert there == set(REAL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, in which the page was followed up to its tests."""
    page = BROKERS / "custom.rst"
    told = [line for block in pages.blocks(page) for line in block.code.splitlines()]
    assert {"$ mkdir shop", "$ touch shop/__init__.py"} <= set(told)
    assert "This is ``shop/spool.py``:\n\n.. literalinclude:: spool.py" in page.read_text()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    shutil.copy(BROKERS / "spool.py", tmp_path / "shop")
    for path, text in pages.files(page).items():
        text = text.replace("/mnt/shared", str(tmp_path))
        (tmp_path / path).write_text(text)
    return tmp_path


BEGIN = """
import django
django.setup()
from django_q.models import Task
from django_q.tasks import async_tasks
"""


def run(folder: Path, *words: str) -> str:
    """Run Python in the folder; what it printed."""
    # Without what this run of pytest says to itself and to its workers.
    others = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, *words],
        env={**others, "DJANGO_SETTINGS_MODULE": "shop.settings"},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def follow(folder: Path, words: str) -> str:
    """Run a command that stands on the page."""
    assert f"    $ {words}\n" in (BROKERS / "custom.rst").read_text()
    words = words.removeprefix("DJANGO_SETTINGS_MODULE=shop.settings ")
    assert words.startswith("python ")
    return run(folder, *words.split()[1:])


def test_a_broker_of_ones_own_comes_from_an_empty_folder_to_a_passing_suite(folder: Path) -> None:
    told = follow(folder, "DJANGO_SETTINGS_MODULE=shop.settings python -m pytest shop")

    passed, skipped = re.search(r"(\d+) passed, (\d+) skipped", told).groups()  # type: ignore[union-attr]
    assert int(passed) > 25
    assert 45 <= int(passed) + int(skipped) <= 55, "some fifty, says the page"


def test_a_broker_of_ones_own_is_at_work(folder: Path) -> None:
    follow(folder, "python -m django migrate")
    assert "shop.spool.Spool" in follow(folder, "python -m django qbroker info")
    run(folder, "-c", f"{BEGIN}async_tasks('math.sqrt', [(n,) for n in range(50)])")

    # As on the page, but for its end.
    run(folder, "-m", "django", "qcluster", "--run-once", "--workers", "2")

    assert run(folder, "-c", f"{BEGIN}print(Task.objects.filter(success=True).count())") == "50\n"
