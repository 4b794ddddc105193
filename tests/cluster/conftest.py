"""Fixtures of the tests of whole clusters."""

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.trace import Trace


@pytest.fixture
def place(request: pytest.FixtureRequest, database: str) -> dict[str, Any]:
    """What `Q_CLUSTER` says of the broker: Redis, or the database where the test said so."""
    name = getattr(request, "param", "redis")
    return {"redis": request.getfixturevalue("redis_url")} if name == "redis" else {"orm": database}


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """What the tasks write down."""
    return Trace(tmp_path / "trace")
