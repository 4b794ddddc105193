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
#: Characters of a scheme that an error shows: who forgot it may begin with a password.
_SHOWN = 10
_MEMORY = "django_q.brokers.memory.Memory"
_SCHEMES = ("redis", "rediss", "unix", "orm", "sqs", "disque", "ironmq", "memory")


def broker_settings(url: str) -> dict[str, Any]:
    """Give the keys of `Q_CLUSTER` that a broker's URL stands for.

    Raises ConfigurationError for an unknown scheme; the text shows no password.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in ("redis", "rediss", "unix"):
        return {"redis": url}
    makers = {"orm": _orm, "sqs": _sqs, "disque": _disque, "ironmq": _ironmq, "memory": _memory}
    if scheme not in makers:
        raise ConfigurationError(
            f'Q_CLUSTER["broker"] begins with {scheme[:_SHOWN] + "://"!r}: '
            f"it must be one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}."
        )
    return makers[scheme](_taken_apart(url))


def _taken_apart(url: str) -> SplitResult:
    """Split the URL. Raises ConfigurationError for one that says something else than it seems."""
    try:
        parts = urlsplit(url)
        is_whole = not parts.path.strip("/") and not parts.fragment
        if is_whole and (parts.scheme == "disque" or parts.port != 0):
            return parts
    except ValueError:
        # Not chained: its text may quote a part of the password.
        pass
    raise ConfigurationError(
        f'Q_CLUSTER["broker"] is not understood: what follows {url.partition("://")[0]}:// must be '
        "host and port, and a login before an @. Special characters in a password or token are "
        "percent-encoded: / is %2F, # is %23, ? is %3F, + is %2B."
    )


def _memory(parts: SplitResult) -> dict[str, Any]:
    return {"broker_class": _MEMORY}


def _orm(parts: SplitResult) -> dict[str, Any]:
    return {"orm": parts.netloc or "default"}


def _sqs(parts: SplitResult) -> dict[str, Any]:
    query = _query(parts)
    if "region" in query:
        query["aws_region"] = query.pop("region")
    login, _, host = parts.netloc.rpartition("@")
    if host:
        raise ConfigurationError(
            'Q_CLUSTER["broker"] names a host for Amazon SQS, which has none: write '
            '"sqs://?region=eu-west-1", or "sqs://?endpoint_url=http://..." for another server.'
        )
    if login and not (parts.username and parts.password):
        raise ConfigurationError(
            'Q_CLUSTER["broker"] has half of the keys for Amazon SQS: write "sqs://ID:SECRET@?...".'
        )
    if login:
        query["aws_access_key_id"] = unquote(parts.username or "")
        query["aws_secret_access_key"] = unquote(parts.password or "")
    return {"sqs": query}


def _disque(parts: SplitResult) -> dict[str, Any]:
    login, _, hosts = parts.netloc.rpartition("@")
    nodes = [_disque_node(host) for host in hosts.split(",") if host]
    if not nodes:
        raise ConfigurationError(
            'Q_CLUSTER["broker"] names no Disque node: write "disque://host:7711,other:7711".'
        )
    if login and not login.startswith(":") or parts.query:
        raise ConfigurationError(
            'Q_CLUSTER["broker"] for Disque is "disque://:PASSWORD@host:7711,other:7711", and no '
            'more: a user is not known there, and "disque_ttl" and others are settings beside it.'
        )
    auth = unquote(login[1:])
    return {"disque_nodes": nodes} | ({"disque_auth": auth} if auth else {})


def _disque_node(host: str) -> str:
    has_port = ":" in host and not host.endswith("]")
    return host if has_port else f"{host}:{_DISQUE_PORT}"


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
