"""Fixtures of the tests of whole clusters."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.trace import Trace
from tests.processes import ClusterProcess


@pytest.fixture
def start_method(request: pytest.FixtureRequest) -> str | None:
    """How the processes of clusters start, unless `Q_CLUSTER` of the test says it itself.

    All tests by another one: `START_METHOD=spawn make test ARGS='tests/cluster --timeout 600'`.
    """
    return getattr(request, "param", os.environ.get("START_METHOD"))


@pytest.fixture
def cluster(
    cluster: Callable[..., ClusterProcess], start_method: str | None
) -> Iterator[Callable[..., ClusterProcess]]:
    """As in all tests, but what still runs is killed at once: an idle stop takes a second.

    That clusters end politely is shown by the tests that stop them.
    """
    clusters: list[ClusterProcess] = []

    def start(*arguments: Any, **options: Any) -> ClusterProcess:
        if "start_method" not in json.loads(os.environ.get("TEST_Q_CLUSTER", "{}")):
            options.setdefault("start_method", start_method)
        clusters.append(cluster(*arguments, **options))
        return clusters[-1]

    yield start
    for started in clusters:
        started.kill()


@pytest.fixture
def place(request: pytest.FixtureRequest, database: str) -> dict[str, Any]:
    """What `Q_CLUSTER` says of the broker: Redis, or the database where the test said so."""
    name = getattr(request, "param", "redis")
    return {"redis": request.getfixturevalue("redis_url")} if name == "redis" else {"orm": database}


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """What the tasks write down."""
    return Trace(tmp_path / "trace")
