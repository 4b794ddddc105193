"""Real servers for the tests, each on 127.0.0.1 and a free port; they end with the test process."""

from .base import MissingServer, Server
from .mariadb import MariaDB
from .postgres import Postgres
from .sqs import Ministack, Moto, Relay
from .valkey import Valkey

__all__ = [
    "MariaDB",
    "Ministack",
    "MissingServer",
    "Moto",
    "Postgres",
    "Relay",
    "Server",
    "Valkey",
]
