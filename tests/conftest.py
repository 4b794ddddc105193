"""What the tests stand on: Django, servers that start on first use, clusters that always end."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from tests.processes import ClusterProcess
from tests.servers import MariaDB, Ministack, MissingServer, Moto, Postgres, Server, Valkey
from tests.site import databases
from tests.turns import Turns, workers

_CLUSTERS = pytest.StashKey[list[ClusterProcess]]()


def pytest_configure(config: pytest.Config) -> None:
    """Set Django up, with a directory for this session's files."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what is to run behind it; and what we start would be deaf to Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Inherited: the directory of the process that distributes the tests.
        config.pluginmanager.register(Turns(Path(os.environ["TEST_DIR"])))
    os.environ["TEST_DIR"] = tempfile.mkdtemp(prefix="django-q-tests-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site.settings"
    django.setup()
    config.pluginmanager.import_plugin("tests.brokers.table")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means."""
    return workers()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's files."""
    connections.close_all()
    shutil.rmtree(os.environ["TEST_DIR"], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of a failed test's clusters."""
    report = yield
    if report.failed:
        for cluster in item.stash.get(_CLUSTERS, []):
            report.sections.append((f"log of qcluster {cluster.pid}", cluster.log()))
    return report


# Servers: one of each a session.


def _serve(server: Server) -> Iterator[Server]:
    missing = ""
    try:
        server.start()
    except MissingServer as error:
        missing = str(error)
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    elif missing:
        pytest.skip(missing)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """The session's Redis server."""
    yield from _serve(Valkey())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The session's PostgreSQL."""
    yield from _serve(Postgres())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """The session's MariaDB."""
    yield from _serve(MariaDB())


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """The session's Amazon SQS that is exact about limits."""
    yield from _serve(Moto())


@pytest.fixture(scope="session")
def ministack() -> Iterator[Server]:
    """The session's Amazon SQS that is quick."""
    yield from _serve(Ministack())


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """Address of an empty Redis server."""
    valkey.flush()
    return valkey.url


# Databases.


@pytest.fixture(scope="session")
def _migrated() -> set[str]:
    """The aliases whose tables exist."""
    return set()


@pytest.fixture
def database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _migrated: set[str]
) -> str:
    """The alias that every model goes to, here and in the clusters of this test; tables empty.

    SQLite, unless the test asks for others:
    `@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)`.
    """
    alias: str = getattr(request, "param", "default")
    if alias not in connections.settings:
        databases.add(alias, request.getfixturevalue(alias).port)
    monkeypatch.setenv(databases.CHOICE, alias)
    # Not the last test's connection: its server may have been killed in between.
    connections[alias].close()
    if alias not in _migrated:
        call_command("migrate", database=alias, verbosity=0)
        _migrated.add(alias)
    databases.empty(alias)
    return alias


# Nothing is left behind.


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Fail the test that leaves something for the next ones to stumble over."""
    before = _surroundings()
    yield
    after = _surroundings()
    left = {name: value for name, value in after.items() if before.get(name) != value}
    assert after == before, f"left behind: {left}, gone: {before.keys() - after.keys()}"


def _surroundings() -> dict[str, str]:
    # Servers of the session may start at any time; pytest says in the environment which test runs.
    ours = {"PYTEST_CURRENT_TEST", *map(databases.variable, databases.ALIASES)}
    found = {name: value for name, value in os.environ.items() if name not in ours}
    databases_there = sorted({*connections.settings} - {*databases.ALIASES})
    return {**found, "connections.settings": str(databases_there), "getcwd": os.getcwd()}


# Settings.


@pytest.fixture
def q_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, Any]]]:
    """Function that sets `Q_CLUSTER` for this process and for the clusters started from now on.

    `q_cluster(orm="default", workers=2)`; each call replaces what was set before.
    """
    overrides: list[override_settings] = []

    def configure(**values: Any) -> dict[str, Any]:
        overrides.append(override_settings(Q_CLUSTER=values))
        overrides[-1].enable()
        monkeypatch.setenv("TEST_Q_CLUSTER", json.dumps(values, default=str))
        return values

    yield configure
    for override in reversed(overrides):
        override.disable()


# Clusters.


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Function that starts a `qcluster`; all of them are ended, and shown when the test fails.

    `cluster(*arguments, **settings)`: arguments for the command line; settings are laid over the
    ones of `q_cluster`. Give `wait=False` to get it before it is ready.
    """
    clusters = request.node.stash.setdefault(_CLUSTERS, [])

    def start(*arguments: str, wait: bool = True, **values: Any) -> ClusterProcess:
        values = {**json.loads(os.environ.get("TEST_Q_CLUSTER", "{}")), **values}
        started = ClusterProcess(tmp_path, values, *arguments)
        clusters.append(started)
        return started.wait_ready() if wait else started

    yield start
    for started in clusters:
        started.close()


@pytest.fixture
def hooks_file() -> Iterator[Path]:
    """The file that `tests.site.tasks.write_hook` writes into, not there yet."""
    path = Path(os.environ["TEST_DIR"]) / "hooks.txt"
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)
