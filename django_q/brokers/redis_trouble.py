"""What to make of errors of redis-py: our words for them, with the place and the setting."""

import re
from typing import Any

import redis
from redis.exceptions import (
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    RedisClusterException,
)
from redis.sentinel import MasterNotFoundError

from django_q.brokers.redis_connect import is_cluster
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable

#: What a call may raise.
TROUBLE = (redis.RedisError, RedisClusterException)
#: Nobody who could serve, beside broken connections.
_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    ClusterDownError,
    MasterDownError,
    RedisClusterException,
)
#: A second try would find the same.
_SETTLED = (redis.AuthenticationError, MasterNotFoundError)
#: Code of a refusal -> what it means here.
_REFUSALS = {
    "OOM": "is out of memory and takes no more packages; raise its maxmemory or let workers drain",
    "READONLY": "is a read-only replica; let the settings name the primary",
    "NOPERM": "does not permit this; the user needs the keys django_q:* and {django_q:*, and the "
    "commands that docs/brokers/redis names",
    "MISCONF": "refuses to write because it cannot save to disk",
}
#: redis-py takes these codes off the text.
_CODES: dict[type[Exception], str] = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.NoPermissionError: "NOPERM",
}
#: Nodes of a cluster, or sentinels, that a text names at most.
_NAMED = 3
_NOTHING_CONFIGURED = (
    'Q_CLUSTER names no broker, so this default was tried. Set Q_CLUSTER = {"redis": "redis://'
    'host:6379/0"}, or use the database, without any server: Q_CLUSTER = {"orm": "default"}'
)


def may_pass(error: Exception) -> bool:
    """Tell whether the same call may do better over a new connection.

    Not after a timeout: the server is silent, and a second wait would not make it speak.
    """
    return isinstance(error, redis.ConnectionError) and not isinstance(error, _SETTLED)


def is_moved(error: Exception) -> bool:
    """Tell whether the primary may be elsewhere by now: this one takes no writes."""
    return _code_of(error) == "READONLY"


def in_our_words(error: Exception, connection: Any, setting: str) -> BrokerError:
    """Give the error to raise; `setting` is where somebody said which server it is."""
    place = place_of(connection)
    # Redis refuses a long command of somebody who gave no password by its length.
    if isinstance(error, redis.AuthenticationError) or "unauthenticated" in str(error):
        return BrokerError(
            f"Redis{place} refuses the login: {_words_of(error)}. "
            f"Check user and password in {setting}."
        )
    if isinstance(error, _AWAY):
        return BrokerUnavailable(away(f"cannot be reached: {_words_of(error)}", place, setting))
    if isinstance(error, InvalidResponse):
        words = f"does not speak as Redis does: {_words_of(error)}. See {setting}."
        return BrokerError(f"The server{place} {words}")
    if meaning := _REFUSALS.get(_code_of(error)):
        return BrokerError(f"Redis{place} {meaning}: {error}")
    return BrokerError(f"Redis{place} refuses: {_words_of(error)}. See {setting}.")


def away(words: str, place: str, setting: str) -> str:
    """Give the text of a BrokerUnavailable; where nothing is configured, it shows the way."""
    is_configured = any(map(Conf.is_set, ("redis", "django_redis", "broker_class")))
    return f"Redis{place} {words}. {f'See {setting}.' if is_configured else _NOTHING_CONFIGURED}"


def place_of(connection: Any) -> str:
    """Tell where a client leads to, as the end of "Redis"; "" while there is none."""
    if connection is None:
        return ""
    if is_cluster(connection):
        nodes = (f"{node.host}:{node.port}" for node in connection.get_nodes())
        return f" Cluster at {_some(nodes)}"
    pool: Any = getattr(connection, "connection_pool", None)
    options = getattr(pool, "connection_kwargs", {})
    if path := options.get("path"):
        return f" at {path}"
    if service := getattr(pool, "service_name", None):
        clients = pool.sentinel_manager.sentinels
        sentinels = (_host_and_port(one.connection_pool.connection_kwargs) for one in clients)
        return f" (the primary {service!r} of the sentinels at {_some(sentinels)})"
    return f" at {_host_and_port(options)}"


def _host_and_port(options: dict[str, Any]) -> str:
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _some(places: Any) -> str:
    named = sorted(places)
    return ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")


def _words_of(error: Exception) -> str:
    if isinstance(error, MasterNotFoundError):
        # Its text shows every client that it asked; what each of them raised is behind.
        reasons = sorted(set(re.findall(r"> - (.*?)(?=, <|$)", str(error))))
        told = f" ({'; '.join(reasons)})" if reasons else ""
        return f"no sentinel that answers knows it to be well{told}"
    return str(error).rstrip(". ") or type(error).__name__


def _code_of(error: Exception) -> str:
    # Redis 6.2 puts its own words before the code of an error inside a script.
    named = (code for code in _REFUSALS if re.search(rf"\b{code}\b", str(error)))
    # So Redis 7 and Valkey call the same when a script gives the command.
    inside = "NOPERM" if "ACL failure in script" in str(error) else ""
    return _CODES.get(type(error)) or next(named, inside)
