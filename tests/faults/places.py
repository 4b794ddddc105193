"""The brokers of the scenarios: their servers, started once, and what `Q_CLUSTER` says of them."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connections

from tests.servers import MariaDB, Ministack, Postgres, Server, Valkey
from tests.servers.disque import disque_cluster
from tests.servers.ironmq_process import IronMQ
from tests.site import databases

_SERVERS: dict[str, Callable[[], Server]] = {
    "redis": lambda: Valkey("--appendonly", "yes", "--appendfsync", "always"),
    "postgres": Postgres,
    "mariadb": MariaDB,
    "sqs": Ministack,
    "ironmq": IronMQ,
}
#: Nodes of Disque: it keeps packages in memory only, and each package on both of them.
NODES = 2
#: Broker -> alias of the database that has the results, and the servers, the broker's first.
PLACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "redis": ("default", ("redis",)),
    "postgres": ("postgres", ("postgres",)),
    "mariadb": ("mariadb", ("mariadb",)),
    "sqlite": ("default", ()),
    "sqs": ("default", ("sqs",)),
    "disque": ("default", ("disque",)),
    "ironmq": ("default", ("ironmq",)),
    # Packages on one server, results on another.
    "redis+postgres": ("postgres", ("redis", "postgres")),
}
_running: dict[str, list[Server]] = {}
_ends = contextlib.ExitStack()
_migrated: set[str] = set()


@contextlib.contextmanager
def place(broker: str) -> Iterator[tuple[list[Server], dict[str, Any]]]:
    """Give the servers of a broker, running, and its settings; all tables are empty."""
    alias, names = PLACES[broker]
    servers = [server for name in names for server in _served(name)]
    with _chosen(alias):
        if alias not in _migrated:
            call_command("migrate", database=alias, verbosity=0)
            _migrated.add(alias)
        databases.empty(alias)
        name = f"faults-{time.monotonic_ns()}"
        yield servers, {"name": name, **_settings(broker, alias, servers)}


def _served(name: str) -> list[Server]:
    """Give a kind of server, running; started at its first use."""
    if name not in _running:
        if name == "disque":
            _running[name] = [*_ends.enter_context(disque_cluster(NODES))]
        else:
            server = _SERVERS[name]().start()
            _ends.callback(server.stop)
            _running[name] = [server]
    return _running[name]


def _settings(broker: str, alias: str, servers: list[Server]) -> dict[str, Any]:
    """Give what `Q_CLUSTER` says of a broker."""
    if broker in ("redis", "redis+postgres"):
        return {"redis": servers[0].url}
    if broker == "disque":
        return {"disque_nodes": [server.url for server in servers]}
    if broker in ("sqs", "ironmq"):
        key = {"sqs": "sqs", "ironmq": "iron_mq"}[broker]
        return {key: servers[0].settings}  # type: ignore[attr-defined]
    return {"orm": alias}


@contextlib.contextmanager
def _chosen(alias: str) -> Iterator[None]:
    """Let everything go to an alias, on our server; other tests may have one of their own."""
    before = {name: os.environ.get(name) for name in (databases.CHOICE, databases.variable(alias))}
    entry = django_settings.DATABASES.get(alias)
    os.environ[databases.CHOICE] = alias
    if alias in _running:
        _forget(alias)
        databases.add(alias, _running[alias][0].port)
    try:
        yield
    finally:
        _forget(alias)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if entry is None:
            del django_settings.DATABASES[alias]
        else:
            django_settings.DATABASES[alias] = entry
        connections.configure_settings(django_settings.DATABASES)


def _forget(alias: str) -> None:
    """Close this thread's connection; the next one goes where the alias leads then."""
    if alias in connections.settings:
        connections[alias].close()
        del connections[alias]


def stop_servers() -> None:
    """Stop all that were started."""
    connections.close_all()
    _running.clear()
    _ends.close()
