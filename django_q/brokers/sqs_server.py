"""Calls to Amazon SQS over HTTP, with limits of time and errors in our words."""

import functools
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.loaders import Loader, create_loader

from django_q.brokers import sqs_trouble
from django_q.brokers.deadline import PING_LIMIT, call_within
from django_q.brokers.misread import understood
from django_q.brokers.sqs_settings import SqsSettings

#: Seconds a connection may take to be made, and a reply to come beyond what the call waits for.
#: Each is below the five seconds after which an error has to be told.
CONNECT_LIMIT = 3.0
REPLY_LIMIT = 4.0
#: Seconds each step of a ping may take.
PING_STEP = 0.9
#: Seconds between the tries of a call that was throttled.
PAUSES = (0.2, 0.4, 0.8)
#: Seconds after which no further try begins, so that an error comes within five.
RETRY_LIMIT = 2.0
#: Connections that threads of one process may use at once; more wait for none, but are not kept.
_CONNECTIONS = 32


class SqsServer:
    """SQS in one region, as one process sees it. Threads may share it."""

    def __init__(self, session: Session, settings: SqsSettings, region: str | None = None) -> None:
        self._session = session
        self._settings = settings
        self._region = region if not settings.endpoint_url else None
        self._clients: dict[int, Any] = {}
        self._lock = threading.Lock()

    def call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        wait: int = 0,
        repeatable: bool = True,
    ) -> dict[str, Any]:
        """Call by boto3's name of the operation; again when it was throttled.

        `wait`: seconds the server may take beyond the usual. Not `repeatable`: what may have been
        done already is not asked for again. Raises BrokerError, or ConfigurationError.
        """
        client = self._client(wait)
        end = time.monotonic() + RETRY_LIMIT
        pauses = iter(PAUSES)
        while True:
            try:
                with understood(self.name):
                    return dict(getattr(client, operation)(**parameters))
            except sqs_trouble.TROUBLE as error:
                pause = next(pauses, None)
                is_late = pause is None or time.monotonic() > end
                if is_late or not sqs_trouble.passes_by(error, repeatable):
                    raise self._named(client, operation).in_our_words(error) from error
            time.sleep((pause or 0.0) * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)

    def ping(self, operation: str, parameters: Mapping[str, Any]) -> bool:
        """Call on a new connection, in less than two seconds. Raises what `call` does."""
        late = f"{self.name} did not answer within {PING_LIMIT} s. {sqs_trouble.PLACES}"
        return call_within(PING_LIMIT, lambda: self._ping(operation, parameters), lambda: late)

    def _ping(self, operation: str, parameters: Mapping[str, Any]) -> bool:
        with self._lock:
            client = self._make(PING_STEP, PING_STEP)
        try:
            with understood(self.name):
                getattr(client, operation)(**parameters)
        except sqs_trouble.TROUBLE as error:
            told = self._named(client, operation).in_our_words(error)
            if not isinstance(told, sqs_trouble.QueueMissing):
                raise told from error
        finally:
            client.close()
        return True

    @property
    def name(self) -> str:
        """Name the server by region and address, without a request."""
        region = self._region or self._session.region_name
        address = self._settings.endpoint_url
        return f"Amazon SQS {region}{f' ({address})' if address else ''}"

    def close(self) -> None:
        """Close the connections; the next call makes new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _named(self, client: Any, operation: str) -> sqs_trouble.Call:
        name = str(client.meta.method_to_api_mapping.get(operation, operation))
        return sqs_trouble.Call(name, client.meta.endpoint_url, self._settings.secrets)

    def _client(self, wait: int) -> Any:
        """Give the client whose reply may take `wait` seconds longer; boto3 has no limit a call."""
        with self._lock:
            if wait not in self._clients:
                self._clients[wait] = self._make(CONNECT_LIMIT, REPLY_LIMIT, wait)
            return self._clients[wait]

    def _make(self, connect: float, reply: float, wait: int = 0) -> Any:
        settings = self._settings
        keywords: dict[str, Any] = {
            "connect_timeout": connect,
            "read_timeout": reply,
            "max_pool_connections": _CONNECTIONS,
            "tcp_keepalive": True,
            # `call` has our own policy.
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            **settings.config,
        }
        keywords["read_timeout"] += wait
        try:
            client = self._session.client(
                "sqs",
                region_name=self._region,
                endpoint_url=settings.endpoint_url,
                verify=settings.verify,
                config=Config(**keywords),
            )
        except sqs_trouble.NOT_MADE as error:
            raise sqs_trouble.wrong_settings(error) from error
        client.meta.events.register("before-parse.sqs", _check_reply)
        return client


def make_session(settings: SqsSettings) -> Session:
    """Make boto3's session. Raises ConfigurationError when the settings are not enough."""
    keywords = settings.session_keywords
    try:
        if "botocore_session" in keywords:
            return Session(**keywords)
        core = botocore.session.Session(profile=keywords.get("profile_name"))
        loader = _loader(core.get_config_variable("data_path"))
        core.register_component("data_loader", loader)
        session = Session(**keywords, botocore_session=core)
    except sqs_trouble.NOT_MADE as error:
        raise sqs_trouble.wrong_settings(error) from error
    # Each session adds boto3's.
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)
    return session


@functools.cache
def _loader(data_path: str | None) -> Loader:
    """Give what reads the files that describe Amazon's services, and keeps what it read.

    That takes 45 ms of CPU and some megabytes: too much for each session and for each worker, which
    finds here what was read before the fork.
    """
    loader: Loader = create_loader(data_path)
    return loader


def _check_reply(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Refuse what is no JSON object, which boto3 would take for an empty one."""
    body = response_dict["body"]
    if body and not (body[:64].lstrip()[:1] == b"{" and body[-64:].rstrip()[-1:] == b"}"):
        raise sqs_trouble.NotJson(response_dict["status_code"], body)
