"""Fixtures of the tests that compare with Django Q."""

import gzip
import http.server
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

from tests.compat.environments import ENVIRONMENTS, MissingEnvironment, Project, python_of
from tests.conftest import _CLUSTERS
from tests.processes import ROOT, ClusterProcess
from tests.site import databases

#: What the one cluster of a module runs with. 0.4: with that Django Q never killed at a limit.
SETTINGS = {"orm": "default", "workers": 2, "guard_cycle": 0.4, "grace": 0.5, "cache": "shared"}

ADDONS = Path(__file__).parent / "addons"


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


@pytest.fixture
def old(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, redis_url: str
) -> Iterator[Project]:
    """A project on an old version, whose tables are not made yet: `parametrize(..., indirect)`.

    On the database of the test; with the parameter `VERSION on redis` its packages are in Redis.
    """
    name, _, place = request.param.partition(" on ")
    python = _python_of(name)
    entry = settings.DATABASES[database]
    keys = ("ENGINE", "NAME", "HOST", "PORT", "USER", "PASSWORD")
    values = {"redis": redis_url} if place == "redis" else {"orm": "default"}
    call_command("migrate", "django_q", "zero", database=database, verbosity=0)
    project = Project(
        "old",
        python,
        tmp_path,
        values,
        PROJECT_DATABASE=json.dumps({key: entry[key] for key in keys if key in entry}),
        # The one that `tests.site.settings` calls "shared".
        PROJECT_CACHE=os.path.join(os.environ["TEST_DIR"], "cache"),
    )
    try:
        yield project
    finally:
        project.close()
        call_command("migrate", database=database, verbosity=0)


@pytest.fixture
def addons(tmp_path: Path, redis_url: str) -> Iterator[Callable[..., Project]]:
    """Function that gives a project with ours and the add-ons; its arguments are settings."""
    projects: list[Project] = []

    def make(**values: Any) -> Project:
        database = databases.sqlite(str(tmp_path))
        values = {"orm": "default", "poll": 0.05, **values}
        variables = {"PROJECT_DATABASE": json.dumps(database), "PROJECT_CACHE": redis_url}
        path = os.pathsep.join([str(ADDONS), str(ROOT)])
        project = Project(
            "addons", _python_of("add-ons"), tmp_path, values, PYTHONPATH=path, **variables
        )
        projects.append(project)
        project.do("migrate")
        return project

    yield make
    for project in projects:
        project.close()


@pytest.fixture
def collector() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that keeps what is posted: its address, and the posts so far."""
    posts: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            posts.append({"path": self.path, "text": body.decode("utf-8", "replace")})
            answer = b'{"err": 0, "result": {"uuid": "1"}}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: Any) -> None:
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", posts
    server.shutdown()
    thread.join()
    server.server_close()
