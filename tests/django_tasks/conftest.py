"""Fixtures of the tests of Django's task framework."""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.compat.environments import MissingEnvironment, Project
from tests.django_tasks.environment import DjangoEnvironment, environment_of, newer_python
from tests.processes import ROOT
from tests.servers import Postgres
from tests.site import databases

SITE = Path(__file__).parent / "site"


def django_of(version: str) -> DjangoEnvironment:
    """Give the environment of a Django; skip at home what cannot be made."""
    try:
        return environment_of(version)
    except MissingEnvironment as error:
        if os.environ.get("CI") == "true" and newer_python() is not None:
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture
def postgres_database(postgres: Postgres) -> dict[str, Any]:
    """An empty database of PostgreSQL, as an entry of `DATABASES`."""
    name = f"tasks_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return {**databases.server("postgres", postgres.port), "NAME": name}


@pytest.fixture
def place(request: pytest.FixtureRequest, postgres_database: dict[str, Any]) -> dict[str, Any]:
    """What `Q_CLUSTER` says of the broker: of the parameter "redis" or "postgres"."""
    is_redis = request.param == "redis"
    return {"redis": request.getfixturevalue("redis_url")} if is_redis else {"orm": "default"}


@pytest.fixture
def project(
    request: pytest.FixtureRequest,
    place: dict[str, Any],
    postgres_database: dict[str, Any],
    tmp_path: Path,
) -> Iterator[Project]:
    """A project with tasks of the framework; the parameter is its Django, or "here" for ours."""
    here = Path(sys.executable)
    python = here if request.param == "here" else django_of(request.param).python
    made = Project(
        str(SITE),
        python,
        tmp_path,
        # One worker, so that it shows which task comes first; coroutines are on its loop.
        {
            **place,
            "workers": 1,
            "async_concurrency": 2,
            "guard_cycle": 0.2,
            "grace": 1,
            "shutdown_timeout": 1,
        },
        PROJECT_DATABASE=json.dumps(postgres_database),
        PROJECT_SIGNALS=str(tmp_path / "signals"),
        PYTHONPATH=os.pathsep.join([str(SITE), str(ROOT)]),
    )
    yield made
    made.close()
