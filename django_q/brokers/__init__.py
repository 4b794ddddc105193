"""Which broker the settings choose, and how to get one.

Broker classes are found by dotted path, so that a project needs the client library of its own
broker only.
"""

import functools
from typing import Any

from django.utils.module_loading import import_string

from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError

__all__ = ["Broker", "Lease", "broker_path", "get_broker", "shared_broker"]

#: Setting that chooses a broker -> its class, in the order of precedence.
_BROKERS = {
    "IRON_MQ": "django_q.brokers.ironmq.IronMQBroker",
    "DISQUE_NODES": "django_q.brokers.disque.Disque",
    "SQS": "django_q.brokers.aws_sqs.Sqs",
    "ORM": "django_q.brokers.orm.ORM",
}
_REDIS = "django_q.brokers.redis_broker.Redis"
_PLAIN_REDIS = "django_q.brokers.redis_list.RedisList"


def broker_path() -> str:
    """Give the dotted path of the class that the settings choose."""
    if Conf.BROKER_CLASS:
        return str(Conf.BROKER_CLASS)
    if Conf.MONGO is not None:
        raise ConfigurationError(
            'Q_CLUSTER["mongo"] is set, but there is no MongoDB broker any more. '
            'Use "orm", "redis" or a broker_class of your own; docs/upgrading says how to move.'
        )
    for attribute, path in _BROKERS.items():
        # An empty dict is a choice too: {"sqs": {}} takes all from the environment.
        if getattr(Conf, attribute) is not None:
            return path
    return _REDIS if Conf.RECEIPTS else _PLAIN_REDIS


def get_broker(list_key: str | None = None) -> Broker:
    """Make the chosen broker for the queue `list_key` (default: this cluster's queue).

    Connects to nothing. Raises ConfigurationError when the class or its client library is missing.
    """
    path = broker_path()
    try:
        found = import_string(path)
    except (ImportError, ValueError, TypeError, RecursionError) as error:
        raise ConfigurationError(_cannot_import(path, error)) from error
    is_foreign = isinstance(found, type) and not issubclass(found, Broker)
    made = None if is_foreign else _called(path, found, list_key)
    if not isinstance(made, Broker):
        raise ConfigurationError(
            f'Q_CLUSTER["broker_class"] is {path!r}, which makes no broker: give the dotted path '
            "of a subclass of django_q.brokers.Broker, or of a function that gives one."
        )
    return made


def _called(path: str, function: Any, list_key: str | None) -> Any:
    """Call what makes a broker and is no class, as Django Q does."""
    try:
        return function(list_key=list_key)
    except TypeError as error:
        raise ConfigurationError(
            f'Q_CLUSTER["broker_class"] is {path!r}, which cannot be called with list_key: {error}'
        ) from error


def shared_broker(list_key: str | None = None) -> Broker:
    """Give the broker that the producers of this process share, made once for each queue."""
    return _shared(Conf.version, list_key or Conf.CLUSTER_NAME)


@functools.lru_cache(maxsize=64)
def _shared(version: int, list_key: str) -> Broker:
    return get_broker(list_key)


def _cannot_import(path: str, error: Exception) -> str:
    extras = {"redis": "redis", "boto3": "sqs", "botocore": "sqs", "urllib3": "ironmq"}
    library = (getattr(error, "name", None) or "").partition(".")[0]
    extra = extras.get(library)
    if extra == "redis" and "disque" in path:
        extra = "disque"
    if extra is None:
        return f"The broker {path} cannot be imported: {error}. Check broker_class in Q_CLUSTER."
    return (
        f"The broker {path} needs the library {library}, which is not installed: "
        f'pip install "django-q3[{extra}]". '
        'Without any server, Q_CLUSTER = {"orm": "default"} uses the database.'
    )
