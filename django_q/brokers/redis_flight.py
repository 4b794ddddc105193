"""Packages on their way to Redis, while their producer makes the next ones."""

import time
from typing import Any

import redis
from redis.exceptions import NoScriptError

from django_q.brokers.redis_lines import Lines
from django_q.brokers.redis_scripts import SENT_LIFE, Script

#: Seconds for which the server surely remembers what it has heard.
_REMEMBERED = SENT_LIFE / 1000 * 0.8


class Flight:
    """One call of a script: sent, and not answered yet."""

    def __init__(self, lines: Lines, script: Script, keys: list[str], values: list[Any]) -> None:
        self._lines, self._script, self._call = lines, script, (keys, *values)
        self._began = time.monotonic()
        self._failed: redis.RedisError | None = None
        try:
            self._line = lines.begin(*script.words(*self._call))
        except redis.RedisError as error:
            self._line, self._failed = None, error

    @property
    def may_be_repeated(self) -> bool:
        """Whether the server would know that it has heard this before."""
        return time.monotonic() - self._began < _REMEMBERED

    def __call__(self, connection: Any) -> Any:
        """Give the answer, or raise what came instead; called again, call again.

        For `RedisServer._call`, whose connection is not needed.
        """
        line, self._line = self._line, None
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        if line is not None:
            try:
                return self._lines.end(line)
            except NoScriptError:
                pass
        return self._script.run(self._lines, *self._call)
