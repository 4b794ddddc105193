"""The short way to the server for what each task needs, past the client of redis-py.

Producers keep packages by it, workers wait for them, and idle clusters say how they are.

For each command that client takes a connection from its pool, asks the kernel whether it is still
good, and keeps counts for those who observe it: about as much work as the command itself. Here a
connection that turns out broken is told when it is used, which the broker's second try is for.
"""

import os
from collections.abc import Sequence
from typing import Any

import redis
from redis.connection import parse_url

from django_q.conf import Conf

try:
    from hiredis import pack_command
except ImportError:
    pack_command = None  # type: ignore[assignment]

#: What the settings may say of a server for which connections of our own do as its client would.
_PLAIN = frozenset(
    "host port db path unix_socket_path username password client_name connection_class ssl "
    "socket_timeout socket_connect_timeout socket_keepalive socket_keepalive_options "
    "decode_responses health_check_interval".split()
)


def is_plain() -> bool:
    """Tell whether the settings name one server, and no ways of redis-py to reach it.

    Such as a pool with a limit, tries of its own, credentials that change.
    """
    if Conf.DJANGO_REDIS:
        return False
    read_url: Any = parse_url  # not typed by redis-py
    given = read_url(str(Conf.REDIS)) if isinstance(Conf.REDIS, str) else dict(Conf.REDIS)
    return all(key in _PLAIN or key.startswith("ssl_") for key in given)


#: Bytes from which a package is sent by itself: to copy a batch of such takes longer.
_LARGE = 50_000


class Lines:
    """Connections to the server of a client, one for each thread that sends at the same moment.

    Takes the client's place where scripts run. Used by any thread, and by a forked child, which
    makes its own.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._pool = client.connection_pool
        # A list's pop and append need no lock.
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def together(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands as one; their replies, or in their places what the server refused."""
        line = self._take()
        try:
            packed = [piece for words in commands for piece in _packed(line, words)]
            line.send_packed_command(packed)
            replies = [_reply(line) for _ in commands]
        except redis.ConnectionError:
            self.close()
            raise
        self._idle.append(line)
        return replies

    def close(self) -> None:
        """Close the connections that nobody is using."""
        idle, self._idle = self._idle, []
        for line in idle:
            line.disconnect()

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """Send a command and give its reply, as the client does; there are no options."""
        return self.end(self.begin(*words))

    def begin(self, *words: Any) -> Any:
        """Send a command; the connection on which its reply will come, for `end`."""
        line = self._take()
        try:
            line.send_packed_command(_packed(line, words))
        except redis.ConnectionError:
            # When the server was away, the others are broken too.
            self.close()
            raise
        return line

    def end(self, line: Any) -> Any:
        """Give the reply to the command that was sent on this connection."""
        try:
            # Packages may be bytes, whatever the settings say of other values.
            reply = line.read_response(disable_decoding=True)
        except redis.ResponseError:
            self._idle.append(line)
            raise
        except redis.ConnectionError:
            self.close()
            raise
        # Left out after whatever else was raised, by an alarm too: its reply may be under way.
        self._idle.append(line)
        return reply

    def _take(self) -> Any:
        if self._pid != os.getpid():
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._pool.connection_class(**self._pool.connection_kwargs)


def _packed(line: Any, words: tuple[Any, ...]) -> Sequence[bytes]:
    """Give a command as it is sent, in pieces that are sent one after the other."""
    # Large packages seldom stand beside small ones.
    if isinstance(words[-1], (str, bytes)) and len(words[-1]) > _LARGE:
        return _in_pieces(words)
    # What redis-py does before it calls this takes three times as long.
    return line.pack_command(*words) if pack_command is None else (pack_command(words),)


def _in_pieces(words: Sequence[Any]) -> list[bytes]:
    """Write a command (https://redis.io/docs/latest/develop/reference/protocol-spec/).

    Large words are pieces of their own, so that their bytes are not copied.
    """
    pieces, small = [], bytearray(b"*%d\r\n" % len(words))
    for word in words:
        value = word if isinstance(word, bytes) else str(word).encode()
        small += b"$%d\r\n" % len(value)
        if len(value) > _LARGE:
            pieces += [bytes(small), value]
            small.clear()
        else:
            small += value
        small += b"\r\n"
    return [*pieces, bytes(small)]


def _reply(line: Any) -> Any:
    try:
        return line.read_response(disable_decoding=True)
    except redis.ResponseError as error:
        return error
