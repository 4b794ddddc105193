"""Fixtures of the tests that compare with Django Q."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

from tests.compat.environments import ENVIRONMENTS, MissingEnvironment, OldProject, python_of
from tests.conftest import _CLUSTERS
from tests.processes import ClusterProcess
from tests.site import databases

#: What the one cluster of a module runs with. 0.4: with that Django Q never killed at a limit.
SETTINGS = {"orm": "default", "workers": 2, "guard_cycle": 0.4, "grace": 0.5, "cache": "shared"}


@pytest.fixture(scope="module")
def _module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcess]:
    with pytest.MonkeyPatch.context() as patch, override_settings(Q_CLUSTER=SETTINGS):
        patch.setenv("TEST_Q_CLUSTER", json.dumps(SETTINGS))
        patch.setenv(databases.CHOICE, "default")
        call_command("migrate", database="default", verbosity=0)
        databases.empty("default")
        started = ClusterProcess(tmp_path_factory.mktemp("cluster"), SETTINGS)
        try:
            yield started.wait_ready()
        finally:
            started.close()


@pytest.fixture
def shared_cluster(
    request: pytest.FixtureRequest, _module_cluster: ClusterProcess
) -> ClusterProcess:
    """A cluster that all tests of the module use: two workers, the queue in the database."""
    request.node.stash.setdefault(_CLUSTERS, []).append(_module_cluster)
    assert settings.Q_CLUSTER == SETTINGS
    assert _module_cluster.is_running
    return _module_cluster


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that tasks may write into, not there yet."""
    return tmp_path / "notes.json"


def _python_of(name: str) -> Path:
    """Skip at home what cannot be made, and fail in CI; an old Python only matters to old ones."""
    try:
        return python_of(name)
    except MissingEnvironment as error:
        if os.environ.get("CI") == "true" and sys.version_info[:2] <= ENVIRONMENTS[name].newest:
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def environment() -> Callable[[str], Path]:
    """Function that gives the Python of an environment, see `environments`."""
    return _python_of


@pytest.fixture
def old(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, redis_url: str
) -> Iterator[OldProject]:
    """A project on an old version, whose tables are not made yet: `parametrize(..., indirect)`.

    On the database of the test; with the parameter `VERSION on redis` its packages are in Redis.
    """
    name, _, place = request.param.partition(" on ")
    python = _python_of(name)
    entry = settings.DATABASES[database]
    keys = ("ENGINE", "NAME", "HOST", "PORT", "USER", "PASSWORD")
    values = {"redis": redis_url} if place == "redis" else {"orm": "default"}
    call_command("migrate", "django_q", "zero", database=database, verbosity=0)
    project = OldProject(python, tmp_path, {k: entry[k] for k in keys if k in entry}, **values)
    try:
        yield project
    finally:
        project.close()
        call_command("migrate", database=database, verbosity=0)
