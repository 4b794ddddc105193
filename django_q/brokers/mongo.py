"""Signpost for those who had Django Q's broker for MongoDB: there is none any more."""

from typing import NoReturn

from django_q.brokers.base import Broker
from django_q.exceptions import ConfigurationError

__all__ = ["Mongo"]


class Mongo(Broker):
    """Says at construction that it is gone, and what there is instead."""

    def __init__(self, list_key: str | None = None) -> NoReturn:
        raise ConfigurationError(
            "There is no MongoDB broker any more: with it a worker could not tell its own lease "
            'from another\'s. Use Q_CLUSTER = {"orm": "default"}, "redis", or a broker_class of '
            "your own; Upgrading in the documentation says how to move."
        )
