"""Calls to IronMQ v3 over pooled HTTP connections, with limits of time and errors in our words."""

import json
import os
import random
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from django_q.brokers.deadline import PING_LIMIT, call_within
from django_q.brokers.ironmq_settings import IronSettings
from django_q.exceptions import BrokerError, BrokerUnavailable

#: Seconds a connection may take to be made, and a reply to come beyond what the call waits for.
CONNECT_LIMIT = 3.0
REPLY_LIMIT = 4.0
#: Seconds each step of a ping may take.
PING_STEP = 0.9
#: Seconds between the tries of a call that the server had no time for; each varies by a half.
PAUSES = (0.2, 0.4, 0.8)
#: Seconds after which a call that was tried again is given up, so that an error comes within five.
RETRY_LIMIT = 4.5
#: Seconds a connection may have been idle and is used again. Routers forget idle connections
#: without a word, some after a minute, and what is sent over such a one gets no answer.
IDLE_LIMIT = 45.0
#: Connections that threads of one process may use at once; more wait for none, but are not kept.
_CONNECTIONS = 32
#: Statuses of "not now", where nothing was done.
_BUSY = frozenset((429, 503))
#: Characters of an answer that an error shows.
_SHOWN = 200
#: What urllib3 begins its texts with: `HTTPConnection(host='h', port=1): `.
_OBJECT = re.compile(r"^(\w+\(host=.*?\)|<.*?>): ")


class Refusal(BrokerError):
    """IronMQ answered, and not with a success."""

    def __init__(self, text: str, status: int, message: str) -> None:
        super().__init__(text)
        self.status = status
        #: What the server says, in its own words.
        self.message = message

    @property
    def is_gone(self) -> bool:
        """There is no such message or queue, or the reservation is not the valid one any more."""
        return self.status == 404 or (self.status == 403 and "reserv" in self.message.lower())


class Call(NamedTuple):
    """One request."""

    verb: str
    #: Parts of the path behind `queues`: queue, `messages`, id.
    path: Sequence[str] = ()
    #: A JSON object, or its text.
    body: Any = None
    query: dict[str, Any] | None = None
    #: Seconds the server was asked to wait.
    wait: int = 0
    #: It does no harm if it was done already, by a try whose answer was lost.
    is_repeatable: bool = True


class IronClient:
    """One project at one server. Threads may share it, and it survives a fork."""

    def __init__(self, settings: IronSettings) -> None:
        self.settings = settings
        self._headers = {
            "Authorization": f"OAuth {settings.token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "django-q",
        }
        #: Process -> its pool. Two processes must not speak over one connection.
        self._pools: dict[int, urllib3.HTTPConnectionPool] = {}
        self._used = 0.0

    def call(self, call: Call) -> dict[str, Any]:
        """Give the answer to a call; tried again while the server is busy.

        Raises BrokerUnavailable when it stays so or cannot be reached, Refusal when it says no.
        """
        end = time.monotonic() + RETRY_LIMIT
        limit = REPLY_LIMIT
        for pause in (*PAUSES, None):
            try:
                return self._answer(call, *self._send(call, limit + call.wait))
            except ServerBusy as error:
                is_repeatable = call.is_repeatable or error.status in _BUSY
                pause = (pause or 0.0) * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)
                limit = min(REPLY_LIMIT, end - time.monotonic() - pause)
                if not pause or not is_repeatable or limit < PING_STEP:
                    raise
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def ping(self, call: Call) -> bool:
        """Call over a new connection, once, in less than two seconds. Raises what `call` does."""
        late = self._away(f"did not answer within {PING_LIMIT} s")
        return call_within(PING_LIMIT, lambda: self._ping(call), lambda: late)

    def _ping(self, call: Call) -> bool:
        pool = self._make_pool()
        try:
            timeout = urllib3.Timeout(connect=PING_STEP, read=PING_STEP)
            self._answer(call, *self._exchange(pool, call, timeout))
        finally:
            pool.close()
        return True

    def close(self) -> None:
        """Close the idle connections; the next call makes new ones."""
        if pool := self._pools.pop(os.getpid(), None):
            pool.close()

    # -- one request -------------------------------------------------------------------------

    def _send(self, call: Call, limit: float) -> tuple[int, bytes]:
        timeout = urllib3.Timeout(connect=CONNECT_LIMIT, read=limit)
        try:
            return self._exchange(self._pool(), call, timeout)
        except ConnectionLost:
            # The server may have closed an idle connection while the request was on its way.
            if not call.is_repeatable:
                raise
        return self._exchange(self._pool(), call, timeout)

    def _exchange(
        self, pool: urllib3.HTTPConnectionPool, call: Call, timeout: urllib3.Timeout
    ) -> tuple[int, bytes]:
        path = "/".join(quote(part, safe="") for part in ("queues", *call.path))
        url = self.settings.base + path + (f"?{urlencode(call.query)}" if call.query else "")
        body = call.body
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
        try:
            reply = pool.urlopen(
                call.verb, url, body, self._headers, retries=False, redirect=False, timeout=timeout
            )
        except ProtocolError as error:
            raise ConnectionLost(self._away(f"cannot be reached: {error.args[-1]}")) from error
        except ReadTimeoutError as error:
            words = f"did not answer within {timeout.read_timeout:.1f} s"
            raise BrokerUnavailable(self._away(words)) from error
        except HTTPError as error:
            reason = _OBJECT.sub("", str(error))
            raise BrokerUnavailable(self._away(f"cannot be reached: {reason}")) from error
        return reply.status, reply.data

    def _answer(self, call: Call, status: int, data: bytes) -> dict[str, Any]:
        """Give the object that was answered, or raise what the answer means."""
        answer = _object(data)
        if answer is not None and 200 <= status < 300:
            return answer
        if answer is not None:
            message = self._clean(str(answer.get("msg", answer)))[:_SHOWN]
            hint = self._hint(call, status, message)
        else:
            shown = self._clean(data.decode(errors="replace"))[:_SHOWN]
            message = f"no JSON object but {shown!r}"
            hint = f" Is it IronMQ? See {self.settings.named('host', 'port', 'protocol')}."
        asked = f"{call.verb} {'/'.join(('queues', *call.path))}"
        text = f"IronMQ at {self.settings.address} answers {asked} with {status}: {message}.{hint}"
        if status in _BUSY or status >= 500:
            raise ServerBusy(text, status)
        if answer is None:
            # Somebody else's "404" says nothing about a queue.
            raise BrokerError(text)
        raise Refusal(text, status, message)

    def _hint(self, call: Call, status: int, message: str) -> str:
        if status == 401 or (status == 403 and "reserv" not in message.lower()):
            return f" Check {self.settings.named('token', 'project_id')}."
        # These need no queue, so it is the project that was not found.
        is_post = call.verb == "POST" and call.path[1:] == ("messages",)
        if status == 404 and (is_post or not call.path or call.verb == "PUT"):
            return f" Check {self.settings.named('project_id', 'host')}."
        return ""

    def _away(self, words: str) -> str:
        named = self.settings.named("host", "port", "protocol")
        return f"IronMQ at {self.settings.address} {self._clean(words)}. See {named}."

    def _clean(self, text: str) -> str:
        return text.replace(self.settings.token, "***")

    # -- connections -------------------------------------------------------------------------

    def _pool(self) -> urllib3.HTTPConnectionPool:
        """Give the pool of this process, a new one after a fork and after idleness."""
        now, pid = time.monotonic(), os.getpid()
        pool = self._pools.get(pid)
        if pool is None or now - self._used > IDLE_LIMIT:
            # Not closed: another thread may be about to use the old one.
            pool = self._make_pool()
            self._pools = {pid: pool}
        self._used = now
        return pool

    def _make_pool(self) -> urllib3.HTTPConnectionPool:
        host, port = self.settings.host, self.settings.port or None
        if self.settings.protocol == "http":
            pool = urllib3.HTTPConnectionPool(host, port, maxsize=_CONNECTIONS)
            pool.ConnectionCls = _Connection
            return pool
        # Certificates are checked against those of the system.
        secure = urllib3.HTTPSConnectionPool(host, port, maxsize=_CONNECTIONS)
        secure.ConnectionCls = _SecureConnection
        return secure


class _Connection(HTTPConnection):
    """Hands each request to the system in one go, head and body together.

    http.client does it in two. A worker that is killed in between leaves a head alone, and "delete
    these messages" without its body is "delete all messages" to a server that does not miss it.
    """

    _parts: list[bytes] | None = None

    def request(self, *args: Any, **more: Any) -> None:
        """Send a request, once it is whole."""
        self._parts = []
        try:
            super().request(*args, **more)
            whole = b"".join(self._parts)
        finally:
            self._parts = None
        self.send(whole)

    def send(self, data: Any) -> None:
        """Send a part of a request, or keep it until the request is whole."""
        if self._parts is None:
            super().send(data)
        else:
            self._parts.append(data)


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


class ServerBusy(BrokerUnavailable):
    """The server has no time now, or trouble of its own."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class ConnectionLost(BrokerUnavailable):
    """The connection ended before an answer came."""
