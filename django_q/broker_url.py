"""A broker as one URL: `Q_CLUSTER = {"broker": "redis://host:6379/0"}`, taken apart. Pure.

redis:// rediss:// unix://   handed on to redis-py as it is
orm://ALIAS                  a database of the project
sqs://?region=R&...          Amazon SQS; further parts of the query as in Q_CLUSTER["sqs"]
disque://[:AUTH@]H1[:P],H2   Disque nodes
ironmq://PROJECT:TOKEN@HOST  IronMQ; host and port may be left out
memory://                    inside this process, for tests
"""

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django_q.exceptions import ConfigurationError

#: Port of a Disque node that names none.
_DISQUE_PORT = 7711
_MEMORY = "django_q.brokers.memory.Memory"
_SCHEMES = ("redis", "rediss", "unix", "orm", "sqs", "disque", "ironmq", "memory")


def broker_settings(url: str) -> dict[str, Any]:
    """Give the keys of `Q_CLUSTER` that a broker's URL stands for.

    Raises ConfigurationError for an unknown scheme; the text shows no password.
    """
    parts = urlsplit(url)
    makers = {"orm": _orm, "sqs": _sqs, "disque": _disque, "ironmq": _ironmq}
    if parts.scheme in ("redis", "rediss", "unix"):
        return {"redis": url}
    if parts.scheme == "memory":
        return {"broker_class": _MEMORY}
    if parts.scheme not in makers:
        raise ConfigurationError(
            f'Q_CLUSTER["broker"] begins with {parts.scheme + "://"!r}: '
            f"it must be one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}."
        )
    return makers[parts.scheme](parts)


def _orm(parts: SplitResult) -> dict[str, Any]:
    return {"orm": parts.netloc or "default"}


def _sqs(parts: SplitResult) -> dict[str, Any]:
    query = _query(parts)
    if "region" in query:
        query["aws_region"] = query.pop("region")
    if parts.username and parts.password:
        query["aws_access_key_id"] = unquote(parts.username)
        query["aws_secret_access_key"] = unquote(parts.password)
    return {"sqs": query}


def _disque(parts: SplitResult) -> dict[str, Any]:
    login, _, hosts = parts.netloc.rpartition("@")
    nodes = [host if ":" in host else f"{host}:{_DISQUE_PORT}" for host in hosts.split(",") if host]
    if not nodes:
        raise ConfigurationError(
            'Q_CLUSTER["broker"] names no Disque node: write "disque://host:7711,other:7711".'
        )
    auth = unquote(login.partition(":")[2])
    return {"disque_nodes": nodes} | ({"disque_auth": auth} if auth else {})


def _ironmq(parts: SplitResult) -> dict[str, Any]:
    values = {
        "project_id": unquote(parts.username or ""),
        "token": unquote(parts.password or ""),
        "host": parts.hostname or "",
        "port": parts.port,
    }
    return {"iron_mq": {key: value for key, value in values.items() if value} | _query(parts)}


def _query(parts: SplitResult) -> dict[str, Any]:
    return {
        key: int(value) if value.isdigit() else {"true": True, "false": False}.get(value, value)
        for key, value in parse_qsl(parts.query)
    }
