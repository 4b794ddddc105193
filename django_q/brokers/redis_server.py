"""What the two Redis brokers share: connecting, errors in our words, ping, name, heartbeats."""

import re
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from django.utils.module_loading import import_string
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import ClusterDownError, MasterDownError, RedisClusterException
from redis.retry import Retry

from django_q.brokers.base import Broker
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError

T = TypeVar("T")

#: Seconds a connection may take to be made; a server in reach needs milliseconds.
CONNECT_LIMIT = 2.0
#: Seconds a reply may take. Scripts take milliseconds, and nobody blocks longer than BLOCK_LIMIT.
REPLY_LIMIT = 5.0
#: Seconds one blocking call asks for at most, so that a worker looks up now and then.
BLOCK_LIMIT = 1.0
#: Seconds each step of a ping may take; the contract gives two for all of it.
PING_LIMIT = 0.9
#: Seconds the list of heartbeats outlives the last of them.
STAT_INDEX_LIFE = 86_400

#: Code of a refusal -> what it means here.
_REFUSALS = {
    "OOM": "is out of memory and takes no more packages; raise its maxmemory or let workers drain",
    "READONLY": "is a read-only replica; let the settings name the primary",
    "NOPERM": "does not permit this; the user needs the keys django_q:* and {django_q:*",
    "MISCONF": "refuses to write because it cannot save to disk",
}
#: redis-py takes these codes off the text.
_CODES: dict[type[Exception], str] = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.NoPermissionError: "NOPERM",
}
#: Nobody who could serve, beside broken connections.
_AWAY = (redis.TimeoutError, ClusterDownError, MasterDownError, RedisClusterException)
_NOTHING_CONFIGURED = (
    ' Q_CLUSTER names no broker, so this default was tried. Set Q_CLUSTER = {"redis": "redis://'
    'host:6379/0"}, or use the database, without any server: Q_CLUSTER = {"orm": "default"}'
)


class RedisServer(Broker):
    """A broker whose server is Redis or Valkey.

    Threads may share an instance for enqueueing: the connection is a pool.
    """

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:
        """Make a client of redis-py; override it to use Sentinel or Redis Cluster."""
        if Conf.DJANGO_REDIS:
            return _django_redis(Conf.DJANGO_REDIS)
        options = {
            # Every server speaks 2, and we need nothing of 3.
            "protocol": 2,
            "socket_connect_timeout": CONNECT_LIMIT,
            "socket_timeout": REPLY_LIMIT,
            # redis-py would try a dead port for seconds; `_call` has our own policy.
            "retry": Retry(NoBackoff(), 0),
        }
        try:
            if isinstance(Conf.REDIS, str):
                url = str(Conf.REDIS)
                return redis.Redis.from_url(url, **options | _keepalive(url))
            return redis.Redis(**options | _keepalive() | Conf.REDIS)
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

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            # Leaves the pool of django-redis alone.
            connection.close()

    def ping(self) -> bool:
        """Ask over a new connection, so that a dead pooled one cannot take its time."""
        return self._call(_ping)

    def info(self) -> str:
        """Name and version, as `Redis 7.0.15` or `Valkey 9.1.2`; asked once."""
        if self._info is None:
            self._info = self._call(_name_and_version)
        return self._info

    # -- heartbeats -------------------------------------------------------------------------

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Keep a heartbeat in a key of its own, and the key in the set `Conf.Q_STAT`."""

        def work(connection: Any) -> None:
            with connection.pipeline(transaction=False) as pipeline:
                pipeline.set(key, value, ex=timeout)
                pipeline.sadd(Conf.Q_STAT, key)
                pipeline.expire(Conf.Q_STAT, STAT_INDEX_LIFE)
                pipeline.execute()

        self._call(work)

    def get_stat(self, key: str) -> str | None:
        """Give the heartbeat under `key`, or None."""
        value = self._call(lambda connection: connection.get(key))
        return None if value is None else text(value)

    def get_stats(self, pattern: str) -> list[str]:
        """Give all live heartbeats; reads the set, for a walk over all keys may take seconds."""
        prefix = pattern.rstrip("*")

        def work(connection: Any) -> list[str]:
            members = sorted(text(member) for member in connection.smembers(Conf.Q_STAT))
            keys = [key for key in members if key.startswith(prefix)]
            with connection.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.get(key)
                values = pipeline.execute() if keys else []
            if expired := [key for key, value in zip(keys, values, strict=True) if value is None]:
                connection.srem(Conf.Q_STAT, *expired)
            return [text(value) for value in values if value is not None]

        return self._call(work)

    # -- calls and their errors -------------------------------------------------------------

    def _call(self, work: Callable[[Any], T], *, again: bool = True) -> T:
        """Run `work(connection)`, once more when the connection turns out broken.

        Not after a timeout: the server is silent, and a second wait would not make it speak.
        """
        try:
            return work(self.connection)
        except redis.ConnectionError as error:
            if again and not isinstance(error, redis.AuthenticationError):
                return self._call(work, again=False)
            raise self._unavailable(error) from error
        except _AWAY as error:
            raise self._unavailable(error) from error
        except redis.RedisError as error:
            raise self._refused(error) from error

    def _unavailable(self, error: Exception) -> BrokerUnavailable:
        is_configured = any(map(Conf.is_set, ("redis", "django_redis", "broker_class")))
        hint = "" if is_configured else _NOTHING_CONFIGURED
        return BrokerUnavailable(f"Redis at {self._address()} cannot be reached: {error}{hint}")

    def _refused(self, error: Exception) -> BrokerError:
        code = _code_of(error)
        if code == "READONLY":
            # The primary may have moved: find it by its name again at the next use.
            self.close()
        return BrokerError(f"Redis at {self._address()} {_REFUSALS.get(code, 'refuses')}: {error}")

    def _address(self) -> str:
        pool = getattr(self.__dict__.get("connection"), "connection_pool", None)
        options = getattr(pool, "connection_kwargs", {})
        if path := options.get("path"):
            return str(path)
        if service := getattr(pool, "service_name", None):
            return f"Sentinel's {service}"
        return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"

    def _block_limit(self) -> float:
        """Seconds a blocking call may take, well below the socket's own limit."""
        pool = getattr(self.connection, "connection_pool", None)
        limit = getattr(pool, "connection_kwargs", {}).get("socket_timeout")
        return min(BLOCK_LIMIT, limit / 2) if limit else BLOCK_LIMIT


def is_cluster(connection: Any) -> bool:
    """Tell whether keys may lie on different servers."""
    return isinstance(connection, RedisCluster)


def text(value: bytes | str) -> str:
    """Bring a reply into text; a project's own client may have decoded it already.

    Bytes that are no UTF-8 are shown by their escapes: a package that has them is rejected when
    it is opened, which must not happen to the whole batch here.
    """
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _code_of(error: Exception) -> str:
    # Redis 6.2 puts its own words before the code of an error inside a script.
    named = (code for code in _REFUSALS if re.search(rf"\b{code}\b", str(error)))
    return _CODES.get(type(error)) or next(named, "")


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
    except NotImplementedError as error:
        raise ConfigurationError(
            f'Q_CLUSTER["django_redis"] is {alias!r}, but that cache is not one of django-redis. '
            'Name the server instead: "redis": "redis://host:6379/0".'
        ) from error


def _keepalive(url: str = "") -> dict[str, Any]:
    """Let the kernel find out within 45 s that the peer of an idle connection is gone."""
    if url.startswith("unix:"):
        return {}
    values = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    known = {getattr(socket, name): n for name, n in values.items() if hasattr(socket, name)}
    return {"socket_keepalive": True, "socket_keepalive_options": known}


def _ping(connection: Any) -> bool:
    if is_cluster(connection):
        return bool(connection.ping())
    pool = connection.connection_pool
    fresh = pool.connection_class(**pool.connection_kwargs)
    fresh.socket_connect_timeout = fresh.socket_timeout = PING_LIMIT
    fresh.retry = Retry(NoBackoff(), 0)
    try:
        fresh.connect()
        fresh.send_command("PING", check_health=False)
        return text(fresh.read_response()) == "PONG"
    finally:
        fresh.disconnect()


def _name_and_version(connection: Any) -> str:
    facts = connection.info("server")
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', '')}".strip()
