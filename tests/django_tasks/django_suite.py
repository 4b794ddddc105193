"""Run Django's own tests of `django.tasks` against our backend, and print what came of each.

    python -m tests.django_tasks.django_suite DJANGO_TESTS

in an environment of Django 6.0 or newer; DJANGO_TESTS is the folder `tests` of its source. Database
and broker are in `SUITE_DATABASE` and `SUITE_Q_CLUSTER` (JSON). Prints a JSON object: test to "ok",
or to what went wrong.
"""

import importlib
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.test import SimpleTestCase

#: What stands for Django's backends in the text of the tests.
_IN_PLACE_OF = {
    "from django.tasks.backends.dummy import DummyBackend": "from tests.django_tasks.bench "
    "import Waiting as DummyBackend",
    "from django.tasks.backends.immediate import ImmediateBackend": "from tests.django_tasks.bench "
    "import Ready as ImmediateBackend",
    "django.tasks.backends.dummy.DummyBackend": "tests.django_tasks.bench.Waiting",
    "django.tasks.backends.immediate.ImmediateBackend": "tests.django_tasks.bench.Ready",
}


class Report(unittest.TestResult):
    """Writes down what came of each test; of one with subtests, the first that went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.outcomes[_name(test)] = "ok"

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.outcomes[_name(test)] = self.errors[-1][1]

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.outcomes[_name(test)] = self.failures[-1][1]

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.outcomes[_name(test)] = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]


def _name(test: Any) -> str:
    module, kind, method = test.id().split(" ")[0].rsplit(".", 2)
    return f"{module.rpartition('.')[2]}.{kind}.{method}"


def _set_up() -> None:
    settings.configure(
        SECRET_KEY="of the tests",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_q"],
        DATABASES={"default": json.loads(os.environ["SUITE_DATABASE"])},
        Q_CLUSTER=json.loads(os.environ["SUITE_Q_CLUSTER"]),
        TASKS={"default": {"BACKEND": "tests.django_tasks.bench.Waiting", "QUEUES": []}},
        USE_TZ=True,
    )
    # Two of Django's tests call the database from a coroutine, as their backends may.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    django.setup()


def _adapted(source: Path, folder: Path) -> list[str]:
    """Copy the package `tasks` with our backends in it; gives the names of its test modules."""
    (folder / "tasks").mkdir()
    for path in (source / "tasks").glob("*.py"):
        text = path.read_text("utf-8")
        for theirs, ours in _IN_PLACE_OF.items():
            text = text.replace(theirs, ours)
        (folder / "tasks" / path.name).write_text(text, "utf-8")
    return [f"tasks.{path.stem}" for path in sorted((source / "tasks").glob("test_*.py"))]


def _suite(modules: list[str]) -> unittest.TestSuite:
    suite = unittest.TestSuite()
    for name in modules:
        module = importlib.import_module(name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, SimpleTestCase):
                # Their backends need neither a database nor an app.
                value.databases = {"default"}
                value.available_apps = None  # type: ignore[attr-defined]
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
    return suite


def main(source: str) -> None:
    """Run all of them, on an empty database."""
    _set_up()
    call_command("migrate", verbosity=0)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        _suite(_adapted(Path(source), Path(folder))).run(report)
    print(json.dumps(report.outcomes))


if __name__ == "__main__":
    main(sys.argv[1])
