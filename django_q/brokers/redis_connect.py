"""Clients of redis-py as the settings want them: for a server, for Sentinel, for Redis Cluster.

Each with limits of time, since those of redis-py are long or missing.
"""

import socket
from collections.abc import Iterable
from typing import Any

import redis
from django.core.cache import InvalidCacheBackendError
from django.utils.module_loading import import_string
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from django_q.brokers.deadline import call_within
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError

#: Seconds a connection may take to be made; a server in reach needs milliseconds.
CONNECT_LIMIT = 2.0
#: Seconds a reply may take. Scripts take milliseconds, and nobody blocks longer than a second.
REPLY_LIMIT = 4.0
#: Seconds one sentinel may take for each step, and all of them together: the next may know.
SENTINEL_LIMIT, ALL_SENTINELS_LIMIT = 1.0, 4.0
#: Seconds until the nodes of a cluster have told which of them keeps what, whichever answers.
DISCOVERY_LIMIT = 4.5

#: Keys of `Q_CLUSTER["redis"]` that choose Sentinel or Redis Cluster.
SENTINELS, SERVICE, SENTINEL_OPTIONS = "sentinels", "service_name", "sentinel_kwargs"
NODES = "startup_nodes"
_WHOLE_NUMBERS, _TIMES = ("port", "db"), ("socket_timeout", "socket_connect_timeout")


def connect() -> Any:
    """Make the client that the settings describe. Only Redis Cluster is spoken to at once.

    Raises ConfigurationError, and BrokerUnavailable or an error of redis-py for Redis Cluster.
    """
    if Conf.DJANGO_REDIS:
        return _django_redis(Conf.DJANGO_REDIS)
    try:
        if isinstance(Conf.REDIS, str):
            url = str(Conf.REDIS)
            return _checked(redis.Redis.from_url(url, **_limits() | _keepalive(url) | _driver()))
        options = dict(Conf.REDIS)
        _check_numbers(options)
        if SENTINELS in options:
            return _by_sentinel(options)
        if NODES in options:
            return _cluster(options)
        return redis.Redis(**_limits() | _keepalive() | options)
    except TypeError as error:
        # "__init__() got an unexpected keyword argument 'hots'"
        raise ConfigurationError(f'Q_CLUSTER["redis"] is not understood: {error}.') from error
    except ValueError:
        # Not chained: the error of the URL parser may quote a part of the password.
        raise ConfigurationError(
            'Q_CLUSTER["redis"] is not a URL of Redis. Write it like '
            "redis://user:password@host:6379/0, rediss://... or unix:///path?db=0, "
            "special characters of the password percent-encoded."
        ) from None


def _check_numbers(options: dict[str, Any]) -> None:
    """Raise for what redis-py would stumble over when it connects, as if a server had said it."""
    for key in (*_WHOLE_NUMBERS, *_TIMES):
        value = options.get(key)
        is_whole = key in _WHOLE_NUMBERS and str(value).isdecimal()
        is_time = key in _TIMES and type(value) in (int, float)
        if value is not None and not (is_whole or is_time):
            kind = "a whole number" if key in _WHOLE_NUMBERS else "a number of seconds"
            raise ConfigurationError(f'Q_CLUSTER["redis"]["{key}"] is {value!r:.100}: give {kind}.')


def _checked(client: Any) -> Any:
    """Raise for a keyword that is unknown now; redis-py would when it connects."""
    client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    return client


def is_cluster(connection: Any) -> bool:
    """Tell whether keys may lie on different servers."""
    return isinstance(connection, RedisCluster)


def _by_sentinel(options: dict[str, Any]) -> Any:
    """Give a client that asks the sentinels for the primary whenever it connects."""
    places = _places(SENTINELS, options.pop(SENTINELS))
    service = options.pop(SERVICE, None)
    if not isinstance(service, str):
        raise ConfigurationError(
            f'Q_CLUSTER["redis"] has "{SENTINELS}" and no "{SERVICE}": '
            "the name by which they know the primary."
        )
    limit = min(SENTINEL_LIMIT, ALL_SENTINELS_LIMIT / len(places))
    limits = _limits() | {"socket_connect_timeout": limit, "socket_timeout": limit}
    own = options.pop(SENTINEL_OPTIONS, {})
    make: Any = Sentinel  # not typed by redis-py
    sentinel = make(places, sentinel_kwargs=limits | own)
    return _checked(sentinel.master_for(service, **_limits() | _keepalive() | options))


def _cluster(options: dict[str, Any]) -> Any:
    """Give a client for Redis Cluster, which has asked the nodes already."""
    places = _places(NODES, options.pop(NODES))
    make: Any = ClusterNode  # not typed by redis-py
    nodes = [make(host, port) for host, port in places]
    shown = ", ".join(f"{host}:{port}" for host, port in places)
    late = f'Redis Cluster at {shown} does not answer. See "{NODES}" in Q_CLUSTER["redis"].'
    keywords = _limits() | _keepalive() | options
    # Several silent nodes, one after another, would take too long.
    return call_within(
        DISCOVERY_LIMIT, lambda: RedisCluster(startup_nodes=nodes, **keywords), lambda: late
    )


def _places(key: str, given: Any) -> list[tuple[str, int]]:
    """Take places as `(host, port)` or "host:port"."""
    places = [_place(place) for place in given] if isinstance(given, (list, tuple)) else []
    found = [place for place in places if place is not None]
    if not found or len(found) < len(places):
        raise ConfigurationError(
            f'Q_CLUSTER["redis"]["{key}"] must be a list of places: ("host", port) or "host:port".'
        )
    return found


def _place(given: Any) -> tuple[str, int] | None:
    if isinstance(given, str):
        host, _, port = given.rpartition(":")
        given = (host.strip("[]"), int(port) if port.isdecimal() else port)
    is_place = isinstance(given, Iterable) and [type(part) for part in given] == [str, int]
    return tuple(given) if is_place and given[0] else None


def _django_redis(alias: str) -> Any:
    try:
        get_redis_connection = import_string("django_redis.get_redis_connection")
    except ImportError as error:
        raise ConfigurationError(
            f'Q_CLUSTER["django_redis"] is {alias!r}, but django-redis is not installed: '
            "pip install django-redis"
        ) from error
    try:
        return get_redis_connection(alias)
    except InvalidCacheBackendError as error:
        raise ConfigurationError(
            f'Q_CLUSTER["django_redis"] is {alias!r}, which is no cache of this project.'
        ) from error
    except NotImplementedError as error:
        raise ConfigurationError(
            f'Q_CLUSTER["django_redis"] is {alias!r}, but that cache is not one of django-redis. '
            'Name the server instead: "redis": "redis://host:6379/0".'
        ) from error


def _limits() -> dict[str, Any]:
    return {
        # Every server speaks 2, and we need nothing of 3.
        "protocol": 2,
        "socket_connect_timeout": CONNECT_LIMIT,
        "socket_timeout": REPLY_LIMIT,
        # redis-py would try a dead port for seconds; the brokers have our own policy.
        "retry": Retry(NoBackoff(), 0),
    }


def _driver() -> dict[str, Any]:
    """Say what newer versions of redis-py would look up for each connection, in package metadata.

    With other arguments than a URL they do so once a client.
    """
    make: Any = getattr(redis, "DriverInfo", None)
    return {} if make is None else {"driver_info": make(lib_version=redis.__version__)}


def _keepalive(url: str = "") -> dict[str, Any]:
    """Let the kernel find out within 45 s that the peer of an idle connection is gone."""
    if url.startswith("unix:"):
        return {}
    values = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    known = {getattr(socket, name): n for name, n in values.items() if hasattr(socket, name)}
    return {"socket_keepalive": True, "socket_keepalive_options": known}
