"""Django's own tests of `django.tasks`, from its source distribution, against our backend.

Alone: `make test ARGS=tests/django_tasks/test_django_suite.py`.
"""

import json
import subprocess
from typing import Any

import pytest

from tests.django_tasks.conftest import django_of
from tests.django_tasks.environment import VERSIONS
from tests.processes import ROOT

_DUMMY = "test_dummy_backend.DummyBackendTestCase"
_IMMEDIATE = "test_immediate_backend.ImmediateBackendTestCase"
#: Those that assert the opposite of what we support, each with its reason; all others pass.
OPPOSITES = {
    f"{_DUMMY}.test_refresh_result": "sets a status in the list that DummyBackend keeps in memory",
    f"{_DUMMY}.test_refresh_result_async": "as test_refresh_result",
    f"{_IMMEDIATE}.test_cannot_get_result": "expects that results cannot be had",
    f"{_IMMEDIATE}.test_cannot_refresh_result": "expects that results cannot be had",
    f"{_IMMEDIATE}.test_cannot_pass_run_after": "expects that run_after is refused",
    f"{_IMMEDIATE}.test_throws_keyboard_interrupt": "expects that enqueue runs the task; in a "
    "worker a KeyboardInterrupt fails the task only",
}
#: How many there are at least: fewer, and we did not run what we say.
_FEWEST = 75


@pytest.mark.parametrize("place", ["postgres", "redis"], indirect=True)
@pytest.mark.parametrize("version", VERSIONS)
def test_djangos_own_tests_pass(
    version: str, place: dict[str, Any], postgres_database: dict[str, Any]
) -> None:
    django = django_of(version)

    done = subprocess.run(
        [django.python, "-m", "tests.django_tasks.django_suite", django.tests],
        env={
            "PYTHONPATH": str(ROOT),
            "SUITE_DATABASE": json.dumps(postgres_database),
            "SUITE_Q_CLUSTER": json.dumps(place),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    failed = {name: text for name, text in outcomes.items() if text != "ok"}
    assert len(outcomes) >= _FEWEST
    assert failed.keys() == OPPOSITES.keys(), "\n\n".join(
        f"{name}: {text}" for name, text in failed.items() if name not in OPPOSITES
    )
