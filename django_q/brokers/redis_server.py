"""What the two Redis brokers share: connections, errors in our words, ping, name, heartbeats."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from django_q.brokers import redis_trouble
from django_q.brokers.base import Broker
from django_q.brokers.deadline import PING_LIMIT, call_within
from django_q.brokers.misread import MISREAD, not_understood, text_of
from django_q.brokers.redis_connect import connect, is_cluster
from django_q.brokers.redis_lines import Lines, is_plain
from django_q.conf import Conf
from django_q.disguise import from_wire

T = TypeVar("T")

#: Seconds one blocking call asks for at most, so that a worker looks up now and then.
BLOCK_LIMIT = 1.0
#: Seconds each step of a ping may take.
PING_STEP = 0.9
#: Seconds the list of heartbeats outlives the last of them.
STAT_INDEX_LIFE = 86_400


class RedisServer(Broker):
    """A broker whose server is Redis or Valkey.

    Threads may share an instance for enqueueing: the connection is a pool.
    """

    #: A key of the queue: what has it is the server that has to answer.
    _home: str

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:
        """Make a client of redis-py from the settings; a subclass may make its own."""
        return connect()

    @functools.cached_property
    def _lines(self) -> Any:
        """The short way to the server; the client where it is somebody's, or special."""
        return Lines(self.connection) if self._has_lines else self.connection

    @functools.cached_property
    def _has_lines(self) -> bool:
        return type(self).get_connection is RedisServer.get_connection and is_plain()

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        lines = self.__dict__.pop("_lines", None)
        self.__dict__.pop("_has_lines", None)
        if isinstance(lines, Lines):
            lines.close()
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            # Leaves the pool of django-redis alone.
            connection.close()

    def ping(self) -> bool:
        """Ask over a new connection, so that a dead pooled one cannot take its time."""
        return call_within(PING_LIMIT, lambda: self._call(self._ping), self._late)

    def _ping(self, connection: Any) -> bool:
        if is_cluster(connection):
            # PING would go to any of the nodes.
            return int(connection.exists(self._home)) >= 0
        pool = connection.connection_pool
        fresh = pool.connection_class(**pool.connection_kwargs)
        fresh.socket_connect_timeout = fresh.socket_timeout = PING_STEP
        fresh.retry = Retry(NoBackoff(), 0)
        try:
            fresh.connect()
            fresh.send_command("PING", check_health=False)
            return text(fresh.read_response()) == "PONG"
        finally:
            fresh.disconnect()

    def _late(self) -> str:
        place = redis_trouble.place_of(self.__dict__.get("connection"))
        words = f"did not answer within {PING_LIMIT} s"
        return redis_trouble.away(words, place, self._setting())

    def info(self) -> str:
        """Name and version, as `Redis 7.0.15` or `Valkey 9.1.2`; asked once.

        "Redis" where the user may not ask for them.
        """
        if self._info is None:
            self._info = self._call(_name_and_version)
        return self._info

    # -- heartbeats -------------------------------------------------------------------------

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Keep a heartbeat in a key of its own, and the key in the set `Conf.Q_STAT`."""
        commands = [
            ("SET", key, value, "EX", timeout),
            ("SADD", Conf.Q_STAT, key),
            ("EXPIRE", Conf.Q_STAT, STAT_INDEX_LIFE),
        ]

        def work(connection: Any) -> None:
            if self._has_lines:
                replies = self._lines.together(*commands)
                if refused := [reply for reply in replies if isinstance(reply, Exception)]:
                    raise refused[0]
                return
            with connection.pipeline(transaction=False) as pipeline:
                for words in commands:
                    pipeline.execute_command(*words)
                pipeline.execute()

        self._call(work)

    def get_stat(self, key: str) -> str | None:
        """Give the heartbeat under `key`, or None."""

        def work(connection: Any) -> str | None:
            value = connection.get(key)
            return None if value is None else text(value)

        return self._call(work)

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
        """Run `work(connection)`, once more when the connection turns out broken."""
        try:
            return work(self.connection)
        except redis_trouble.TROUBLE as error:
            if again and redis_trouble.may_pass(error):
                return self._call(work, again=False)
            connection = self.__dict__.get("connection")
            if redis_trouble.is_moved(error):
                # By its name the primary will be found again at the next use.
                self.close()
            raise redis_trouble.in_our_words(error, connection, self._setting()) from error
        except MISREAD as error:
            place = redis_trouble.place_of(self.__dict__.get("connection"))
            # It may have been the answer to another question: what follows would be so, too.
            self.close()
            raise not_understood(f"Redis{place}", error) from error

    def _setting(self) -> str:
        """Name the setting that leads to the server."""
        if type(self).get_connection is not RedisServer.get_connection:
            return f"{type(self).__qualname__}.get_connection()"
        if Conf.is_set("broker") and Conf.conf["broker"] == Conf.REDIS:
            return 'Q_CLUSTER["broker"]'
        return f'Q_CLUSTER["{"django_redis" if Conf.DJANGO_REDIS else "redis"}"]'

    def _block_limit(self) -> float:
        """Seconds a blocking call may take, well below the socket's own limit."""
        limit = self.connection.get_connection_kwargs().get("socket_timeout")
        return min(BLOCK_LIMIT, limit / 2) if limit else BLOCK_LIMIT


def text(value: bytes | str) -> str:
    """Bring a reply into text; a project's own client may have decoded it already.

    Bytes that are no UTF-8 are shown by their escapes: a package that has them is rejected when
    it is opened, which must not happen to the whole batch here. Raises TypeError for other values.
    """
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else text_of(value)


def payload_of(value: bytes | str) -> str:
    """Bring a package into text, as `text` does a reply; it may be bytes in disguise."""
    return from_wire(value) if isinstance(value, bytes) else text_of(value)


def _name_and_version(connection: Any) -> str:
    try:
        facts = connection.info("server")
    except NoPermissionError:
        # Counted among the dangerous commands, which many users may not give.
        return "Redis"
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', '')}".strip()
