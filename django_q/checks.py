"""System checks: wrong settings are told at start, each with its cure. Called by Django."""

import dataclasses
import difflib
import importlib.metadata
import logging
from collections.abc import Collection, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Info, Warning
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.utils.module_loading import import_string

from django_q.conf import Settings, effective_settings, wrong_values
from django_q.exceptions import ConfigurationError
from django_q.policy import settings_trouble
from django_q.settings import zone_named

#: What importing a dotted path raises that is none.
_UNIMPORTABLE = (ImportError, ValueError, TypeError, RecursionError)
#: Keys beside the fields of Settings that `Q_CLUSTER` may have.
_OTHER_KEYS = {"ALT_CLUSTERS"}
#: Keys whose presence chooses a broker that keeps its heartbeat in Django's cache.
_CACHE_BROKERS = ("broker_class", "iron_mq", "disque_nodes", "sqs")
#: Distributions that ship a module django_q too.
_STRANGERS = ("django-q", "django-q2")


def check_settings(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """Check `Q_CLUSTER`: unknown keys, wrong values, and what the choice of broker needs."""
    try:
        raw = effective_settings()
    except ConfigurationError as error:
        return [Error(str(error), id="django_q.E001")]
    messages: list[CheckMessage] = []
    messages += _unknown_keys(raw)
    messages += [Error(problem, id="django_q.E003") for problem in wrong_values(raw)]
    if any(message.is_serious() for message in messages):
        return messages
    messages += _own_package()
    messages += _pickles(raw)
    messages += _log_level(raw)
    messages += _time_zone(raw)
    messages += _cache_alias(raw)
    messages += _heartbeat_cache(raw)
    messages += _database_broker(raw)
    messages += _own_broker(raw)
    messages += _retries(raw)
    messages += _places(raw)
    messages += _atomic(raw)
    return messages


def check_journal(
    app_configs: Any = None, databases: Collection[str] | None = None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """Recommend WAL for a SQLite broker: nine times as many tasks, and readers do not block."""
    try:
        alias = effective_settings().get("orm")
    except ConfigurationError:
        return []
    if alias is None or alias not in (databases or ()) or connections[alias].vendor != "sqlite":
        return []
    with connections[alias].cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if mode in ("wal", "memory"):
        return []
    return [
        Info(
            f"The queue is in the SQLite database {alias!r} with the journal {mode!r}.",
            "WAL is much faster and lets readers go on: add "
            '"OPTIONS": {"init_command": "PRAGMA journal_mode=WAL;"} to the database.',
            id="django_q.I009",
        )
    ]


def _unknown_keys(raw: dict[str, Any]) -> list[CheckMessage]:
    known = {field.name for field in dataclasses.fields(Settings)} | _OTHER_KEYS
    messages: list[CheckMessage] = []
    for key in raw:
        if key in known:
            continue
        close = difflib.get_close_matches(str(key).lower(), known, n=1, cutoff=0.7)
        hint = f'Did you mean "{close[0]}"?' if close else "See the table in docs/configure."
        messages.append(
            Warning(f"Q_CLUSTER has no setting {key!r}; it is ignored.", hint, id="django_q.W002")
        )
    return messages


def _pickles(raw: dict[str, Any]) -> list[CheckMessage]:
    is_written = raw.get("serializer", "pickle") == "pickle" or raw.get("legacy") == "write"
    if raw.get("pickles", True) or not is_written:
        return []
    return [
        Error(
            'Q_CLUSTER["pickles"] is False, but this project writes pickles itself, which none of '
            "its clusters would open.",
            'Set "serializer": "json", and no "legacy": "write".',
            id="django_q.E012",
        )
    ]


def _log_level(raw: dict[str, Any]) -> list[CheckMessage]:
    level, known = raw.get("log_level", "INFO"), logging.getLevelNamesMapping()
    if isinstance(level, int) or level in known:
        return []
    problem = f'Q_CLUSTER["log_level"] is {level!r}, which is no level of logging.'
    return [Error(problem, f"The levels are: {', '.join(known)}.", id="django_q.E007")]


def _time_zone(raw: dict[str, Any]) -> list[CheckMessage]:
    name = raw.get("time_zone")
    try:
        if name:
            zone_named(name)
    except ConfigurationError as error:
        return [Error(str(error), id="django_q.E014")]
    return []


def _cache_alias(raw: dict[str, Any]) -> list[CheckMessage]:
    alias, known = raw.get("cache"), ", ".join(sorted(django_settings.CACHES))
    if alias is None or alias in django_settings.CACHES:
        return []
    problem = f'Q_CLUSTER["cache"] is {alias!r}, which is no cache of this project.'
    return [Error(problem, f"The aliases in CACHES are: {known}.", id="django_q.E008")]


def _heartbeat_cache(raw: dict[str, Any]) -> list[CheckMessage]:
    if not any(raw.get(key) is not None for key in _CACHE_BROKERS):
        return []
    alias, caches = raw.get("cache", "default"), dict[str, Any](django_settings.CACHES)
    backend = str(caches.get(alias, {}).get("BACKEND", ""))
    if not backend.endswith(("LocMemCache", "DummyCache")):
        return []
    return [
        Warning(
            f"The cache {alias!r} is not shared between processes, so qinfo and qmonitor "
            "cannot see the clusters of this broker.",
            'Point Q_CLUSTER["cache"] at a shared cache (Redis, Memcached, database).',
            id="django_q.W004",
        )
    ]


def _database_broker(raw: dict[str, Any]) -> list[CheckMessage]:
    alias = raw.get("orm")
    if alias is None or raw.get("broker_class"):
        return []
    if alias not in connections.databases:
        known = ", ".join(sorted(connections.databases))
        return [
            Error(
                f'Q_CLUSTER["orm"] is {alias!r}, which is no database of this project.',
                f"The aliases in DATABASES are: {known}.",
                id="django_q.E005",
            )
        ]
    return []


def _own_broker(raw: dict[str, Any]) -> list[CheckMessage]:
    """A broker that cannot renew needs a time limit below its `retry`."""
    path = raw.get("broker_class")
    try:
        broker = import_string(path) if path else None
    except _UNIMPORTABLE as error:
        problem = f'Q_CLUSTER["broker_class"] is {path!r}, which cannot be imported: {error}'
        return [Error(problem, "Give the dotted path of a Broker.", id="django_q.E010")]
    if broker is not None and not callable(broker):
        problem = f'Q_CLUSTER["broker_class"] is {path!r}, which makes no broker.'
        return [Error(problem, "Give the dotted path of a Broker.", id="django_q.E010")]
    broker = _made(broker)
    if broker is None or not getattr(broker, "has_receipts", False):
        return []
    timeout, retry = raw.get("timeout"), raw.get("retry", 60)
    if getattr(broker, "can_renew", False) or (timeout and timeout < retry):
        return []
    return [
        Warning(
            f'The broker {path} cannot renew leases, and Q_CLUSTER["timeout"] is {timeout!r}, '
            f'not below "retry" ({retry} s): a task that runs longer would run twice.',
            f"Set timeout below {retry}, or retry above the longest task.",
            id="django_q.W011",
        )
    ]


def _retries(raw: dict[str, Any]) -> list[CheckMessage]:
    problem = settings_trouble(raw)
    if problem is None:
        return []
    return [Error(f"Q_CLUSTER: {problem}", "See docs/retries.", id="django_q.E020")]


def _places(raw: dict[str, Any]) -> list[CheckMessage]:
    """A worker leases a package for each of its places, whatever `queue_limit` says."""
    limit = raw.get("queue_limit")
    places = max(raw.get("threads", 1), raw.get("async_concurrency", 1))
    if limit is None or limit >= places:
        return []
    return [
        Warning(
            f'Q_CLUSTER["queue_limit"] is {limit}, fewer than the {places} tasks that a worker has '
            "side by side, so it is not kept.",
            f'Set "queue_limit" to {places} or more, or leave it out; lower "threads" or '
            '"async_concurrency" to have fewer tasks in a worker.',
            id="django_q.W013",
        )
    ]


def _atomic(raw: dict[str, Any]) -> list[CheckMessage]:
    """What every task is to commit together has to be in one database."""
    if not raw.get("atomic") or raw.get("sync"):
        return []
    alias = router.db_for_write(apps.get_model("django_q", "Task"))
    path, queue = raw.get("broker_class"), raw.get("orm", DEFAULT_DB_ALIAS)
    # What cannot be imported is told elsewhere.
    made = _imported(path) if path else None
    has_transactions = getattr(made, "has_transactions", True) if path else "orm" in raw
    if not has_transactions or queue != alias:
        where = f"in the database {queue!r}" if has_transactions else "outside the database"
        what = f"the packages are {where} and the results in the database {alias!r}"
        cure = f'Set "orm" to {alias!r}, or leave "atomic" out.'
    elif raw.get("cached") and raw.get("cache", "default"):
        what = f'"cached" is {raw["cached"]!r}: results go to the cache'
        cure = 'Leave "cached" out, or "atomic".'
    elif raw.get("legacy") == "write":
        what = "\"legacy\" is 'write': clusters of django-q2 run tasks without it"
        cure = 'Leave "atomic" out until all clusters are of this release.'
    else:
        return []
    return [Error(f'Q_CLUSTER["atomic"] is True, but {what}.', cure, id="django_q.E016")]


def _imported(path: str) -> Any:
    try:
        return _made(import_string(path))
    except _UNIMPORTABLE:
        return None


def _made(broker: Any) -> Any:
    """Give what has the flags of a broker: its class, or what a function makes.

    None where that fails now: it may need what only a cluster has.
    """
    if broker is None or isinstance(broker, type):
        return broker
    try:
        return broker(list_key=None)
    except Exception:  # the project's own code
        return None


def _own_package() -> list[CheckMessage]:
    strangers = [name for name in _STRANGERS if _is_installed(name)]
    if not strangers:
        return []
    return [
        Error(
            f"Besides django-q3, {', '.join(strangers)} is installed and brings a module "
            "django_q of its own: their files overwrite each other.",
            f"pip uninstall {' '.join(strangers)}, then pip install --force-reinstall django-q3.",
            id="django_q.E006",
        )
    ]


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
