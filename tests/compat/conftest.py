"""Fixtures of the tests that compare with Django Q."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

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
