"""The fields of `Q_CLUSTER`, with default, meaning, unit and range; and what is wrong with values.

Nothing is read at import. Durations are seconds (float), sizes bytes, unless a setting says so.
Used through `django_q.conf`, and by the checks.
"""

import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.utils.functional import Promise

from django_q.broker_url import broker_settings
from django_q.exceptions import ConfigurationError
from django_q.masks import shown

#: Settings that are lists of strings and nothing else.
_TEXTS = ("functions", "signing_key", "preload")
#: Longest name of a queue: the width of its columns.
_LONGEST_NAME = 100


def _default_workers() -> int:
    return os.cpu_count() or 4


def _default_time_zone() -> str | None:
    return django_settings.TIME_ZONE if django_settings.USE_TZ else None


def _setting(
    default: Any, text: str, unit: str = "", low: float | None = None, high: float | None = None
) -> Any:
    """Declare one setting: default (or a function that gives it), meaning, unit and range."""
    metadata = {"text": text, "unit": unit, "low": low, "high": high}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `Q_CLUSTER` says, checked, with the defaults filled in.

    Each field is a key of `Q_CLUSTER`; its upper-case name is an attribute of `Conf` (`name` is
    `Conf.PREFIX` and `compress` is `Conf.COMPRESSED`, as in Django Q).
    """

    # Names and place
    name: str = _setting("default", "Project: part of every signature and heartbeat key.")
    cluster_name: str = _setting("", "Queue of this cluster; empty: as `name`.")
    label: str = _setting("Django Q", "Heading in the admin.")
    log_level: str | int = _setting("INFO", "Level of the logger `django-q` in the commands.")
    time_zone: str | None = _setting(_default_time_zone, "Zone schedules are reckoned in.")
    testing: bool = _setting(False, "Show the queue in the admin whatever the broker.")
    # Broker
    broker: str | None = _setting(None, "A broker as one URL, such as `redis://host:6379/0`.")
    broker_class: str | None = _setting(None, "Dotted path of a broker class.")
    iron_mq: dict[str, Any] | None = _setting(None, "IronMQ: host, project_id, token, ...")
    disque_nodes: list[str] | str | None = _setting(None, "Disque: list of `host:port`.")
    disque_auth: str | None = _setting(None, "Disque: password.")
    disque_fastack: bool = _setting(False, "Disque: acknowledge with FASTACK.")
    disque_ttl: float = _setting(604_800, "Disque: time a package is kept at most.", "s", 1)
    disque_replicate: int | None = _setting(None, "Disque: nodes that keep each package.", "", 1)
    sqs: dict[str, Any] | None = _setting(
        None, "Amazon SQS: arguments of a boto3 session, `aws_region`."
    )
    orm: str | None = _setting(None, "Database alias to use as broker.")
    mongo: dict[str, Any] | None = _setting(None, "MongoDB: not offered any more; see Upgrading.")
    mongo_db: str | None = _setting(None, "MongoDB: not offered any more; see Upgrading.")
    redis: dict[str, Any] | str = _setting(dict, "Redis: URL or keywords; also Sentinel, Cluster.")
    django_redis: str | None = _setting(None, "Cache alias whose django-redis connection is used.")
    receipts: bool = _setting(True, "Redis: lend packages (False: plain list, lost on a crash).")
    retry: float = _setting(60, "Time until work of a dead machine comes back.", "s", 0.1)
    bulk: int = _setting(1, "Packages a fetch may bring; caps it only when set.", "packages", 1)
    poll: float = _setting(0.2, "Pause of brokers that have to poll.", "s", 0)
    legacy: str = _setting("read", "What django-q2 wrote: `read`, `write` so too, or `off`.")
    compress: bool = _setting(False, "Compress packages with zlib.")
    serializer: str = _setting(
        "pickle", "How packages and results are written: `pickle` or `json`."
    )
    pickles: bool = _setting(True, "Open packages and results that are pickles.")
    package_max_age: float | None = _setting(
        None, "Older packages are rejected; None: none.", "s", 1
    )
    signing_key: str | list[str] | None = _setting(
        None, "Signs in place of `SECRET_KEY`; of a list the first, the others are read."
    )
    functions: list[str] | None = _setting(
        None, "Patterns of what tasks and hooks may call, such as `shop.tasks.*`; None: anything."
    )
    max_package: int = _setting(256 * 2**20, "Largest package that is opened.", "bytes", 1024)
    # Cluster
    workers: int = _setting(_default_workers, "Worker processes.", "processes", 1)
    daemonize_workers: bool = _setting(True, "Accepted; workers may always have children.")
    # What each of them does stands on the scoreboard, which has room for a thousand and some.
    threads: int = _setting(1, "Tasks a worker runs side by side, in threads.", "threads", 1, 500)
    async_concurrency: int = _setting(1, "Coroutines a worker runs side by side.", "tasks", 1, 1000)
    queues: list[str] | dict[str, int] | None = _setting(
        None, "Queues to serve: a list, first ones first; or a dict of weights."
    )
    queue_limit: int | None = _setting(
        None, "Packages a worker may hold; caps it only when set.", "packages", 1
    )
    recycle: int = _setting(10_000, "Tasks after which a worker is replaced.", "tasks", 1)
    max_rss: int | None = _setting(None, "Memory after which a worker is replaced.", "KiB", 1)
    guard_cycle: float = _setting(
        0.5, "Time between two heartbeats; of an idle cluster a second at least.", "s", 0.05, 60
    )
    cpu_affinity: int = _setting(0, "Processors each worker may use; 0: all.", "cores", 0)
    start_method: str | None = _setting(None, "`fork`, `forkserver` or `spawn`; None: by platform.")
    preload: list[str] | None = _setting(None, "Modules to import before the workers are forked.")
    shutdown_timeout: float = _setting(25, "Time running tasks get when the cluster stops.", "s", 0)
    health_file: str | None = _setting(None, "File that is touched while the cluster is healthy.")
    scheduler: bool = _setting(True, "Run schedules in this cluster.")
    catch_up: bool = _setting(True, "Run schedules that were missed while nothing ran.")
    schedules: dict[str, Any] = _setting(dict, "Schedules by name, made and changed at start.")
    # Tasks
    timeout: float | None = _setting(None, "Soft limit of a task; None: none.", "s", 0)
    grace: float = _setting(5, "Time between the soft and the hard limit.", "s", 0)
    open_timeout: float = _setting(10, "Time opening a package may take.", "s", 0.1)
    ack_failures: bool = _setting(False, "Unset: a failed task is done. False: it comes back.")
    max_attempts: int = _setting(0, "Runs of a failing task; 0: see Retries.", "runs", 0)
    retry_delay: float = _setting(10, "Time before the second run of a failed task.", "s", 0)
    backoff: float | list[float] | str = _setting(
        2, "Factor from each such time to the next, the times themselves, or a function's path."
    )
    jitter: float = _setting(0.1, "Part of that time which is left to chance.", "", 0, 1)
    retry_on: list[str] | str | None = _setting(None, "Errors after which to try again; None: all.")
    give_up_on: list[str] | str | None = _setting(None, "Errors after which not to try again.")
    track: bool = _setting(False, "Show every task from when it is sent, not only long ones.")
    max_deaths: int = _setting(3, "Workers a task may kill before it fails.", "deaths", 1)
    max_lost: int = _setting(10, "Leases a task may lose before it fails.", "leases", 1)
    on_commit: bool | str = _setting(
        False, "Send when the transaction has committed: True, or `outbox`."
    )
    atomic: bool = _setting(
        False, "Commit a task's writes, its result and its end together (`orm`)."
    )
    sync: bool = _setting(False, "Run every task in place (for tests).")
    # Results
    save_limit: int = _setting(250, "Successes kept; 0: all, -1: none.", "rows", -1)
    save_limit_per: str | None = _setting(None, "Keep `save_limit` per `group`, `name` or `func`.")
    keep_successes: float | None = _setting(None, "Age at which successes go; None: any.", "s", 1)
    keep_failures: float | None = _setting(None, "Age at which failures go; None: any.", "s", 1)
    cached: bool | int = _setting(False, "Results to the cache: True, or seconds to keep them.")
    cache: str | None = _setting("default", "Cache alias for results and heartbeats.")
    error_reporter: dict[str, Any] = _setting(dict, "Error reporters: name to arguments.")

    #: Settings with few allowed values.
    CHOICES: ClassVar[Mapping[str, tuple[Any, ...]]] = types.MappingProxyType(
        {
            "legacy": ("read", "write", "off"),
            "serializer": ("pickle", "json"),
            "on_commit": (False, True, "outbox"),
            "start_method": (None, "fork", "forkserver", "spawn"),
            "save_limit_per": (None, "group", "name", "func"),
        }
    )

    @classmethod
    def from_django(cls) -> "Settings":
        """Build from `settings.Q_CLUSTER` and the environment's `Q_CLUSTER_NAME`.

        Raises ConfigurationError for the first wrong value. Unknown keys are left to the checks.
        """
        raw = effective_settings()
        for problem in wrong_values(raw):
            raise ConfigurationError(problem)
        known = {field.name for field in dataclasses.fields(cls)}
        value = cls(**{key: raw[key] for key in raw if key in known})
        return dataclasses.replace(value, cluster_name=value.cluster_name or value.name)


def effective_settings() -> dict[str, Any]:
    """Give the raw dict that counts: `Q_CLUSTER` with the alternative named by the environment."""
    raw = getattr(django_settings, "Q_CLUSTER", None)
    raw = {} if raw is None else raw
    if not isinstance(raw, Mapping):
        raise ConfigurationError(f"Q_CLUSTER is {shown(raw)}: it must be a dict.")
    name = os.environ.get("Q_CLUSTER_NAME")
    merged = {key: value for key, value in raw.items() if key != "ALT_CLUSTERS"}
    if name:
        if name != (raw.get("cluster_name") or raw.get("name", "default")):
            # They are those of the cluster without a name of its own.
            merged.pop("queues", None)
        merged |= {"cluster_name": name} | _alternative(raw.get("ALT_CLUSTERS"), name)
    if isinstance(merged.get("broker"), str):
        merged = broker_settings(merged["broker"]) | merged
    return merged


def _alternative(clusters: Any, name: str) -> dict[str, Any]:
    """Give what `ALT_CLUSTERS` says of a cluster: nothing when it does not name it."""
    chosen = (clusters.get(name) if isinstance(clusters, Mapping) else clusters) or {}
    if not isinstance(chosen, Mapping):
        raise ConfigurationError(
            f'Q_CLUSTER["ALT_CLUSTERS"] is {shown(clusters):.200}: it must be a dict of dicts, '
            "from the name of a cluster to its settings."
        )
    return dict(chosen)


def zone_named(name: str) -> ZoneInfo:
    """Give the time zone of a name. Raises ConfigurationError for one that is not known."""
    try:
        return ZoneInfo(name)
    # No such key; not a relative path; a directory, as "Europe" is; hundreds of dots.
    except (LookupError, ValueError, OSError, RecursionError) as error:
        raise ConfigurationError(
            f'Q_CLUSTER["time_zone"] is {name!r:.100}, which is no time zone that is known here: '
            'give one such as "Europe/Berlin".'
        ) from error


def wrong_values(raw: Mapping[str, Any]) -> list[str]:
    """Tell what is wrong with values of `raw`, a sentence each; unknown keys are passed over."""
    problems = []
    hints = setting_types()
    for field in dataclasses.fields(Settings):
        if field.name not in raw:
            continue
        if field.name == "retry" and raw["retry"] == 0 and raw.get("disque_nodes") is not None:
            continue  # Disque's way to say: at most once
        value, low, high = raw[field.name], field.metadata["low"], field.metadata["high"]
        where = f'Q_CLUSTER["{field.name}"] is {shown(value, field.name)}'
        unit = f" {field.metadata['unit']}" if field.metadata["unit"] else ""
        choices = Settings.CHOICES.get(field.name)
        if not _fits(value, hints[field.name]):
            problems.append(f"{where}: it must be {_type_name(hints[field.name])}.")
        elif choices and value not in choices:
            problems.append(f"{where}: it must be one of {', '.join(map(repr, choices))}.")
        elif isinstance(value, (int, float)) and low is not None and value < low:
            problems.append(f"{where}: it must be at least {low}{unit}.")
        elif isinstance(value, (int, float)) and high is not None and value > high:
            problems.append(f"{where}: it must be at most {high}{unit}.")
        elif field.name == "queues" and value is not None:
            problems += _wrong_queues(value)
        elif field.name in _TEXTS and not all(isinstance(each, str) for each in value or ()):
            problems.append(f"{where}: it must be a list of strings.")
    return problems


def _wrong_queues(queues: Any) -> list[str]:
    where = f'Q_CLUSTER["queues"] is {queues!r:.300}'
    names = list(queues)
    if not names:
        return [f"{where}: it must name one queue at least; leave it out to serve `cluster_name`."]
    for name in names:
        if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and "\0" not in name):
            return [f"{where}: {name!r:.110} is no name, of 1 to {_LONGEST_NAME} characters."]
        if names.count(name) > 1:
            return [f"{where}: it names {name!r} twice."]
        if isinstance(queues, Mapping) and not (type(queues[name]) is int and queues[name] > 0):
            return [f"{where}: the weight of {name!r} must be a whole number of at least 1."]
    return []


@functools.cache
def setting_types() -> dict[str, Any]:
    """Give the type of each setting."""
    return typing.get_type_hints(Settings)


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if hint is bool:
        return isinstance(value, bool) or value in (0, 1)
    if hint in (int, float):
        is_number = isinstance(value, (int, float) if hint is float else int)
        return is_number and value is not True and (type(value) is int or math.isfinite(value))
    kind = typing.get_origin(hint) or hint
    # A label may be translated lazily.
    return isinstance(value, {str: (str, Promise), list: (list, tuple)}.get(kind, kind))


def _type_name(hint: Any) -> str:
    is_union = isinstance(hint, types.UnionType)
    parts = typing.get_args(hint) if is_union else (hint,)
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "a string"}
    names |= {dict: "a dict", list: "a list", types.NoneType: "None"}
    return " or ".join(names[typing.get_origin(part) or part] for part in parts)
