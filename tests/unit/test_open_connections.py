"""Database connections between two tasks: none is left as it was, nor looked for in vain."""

from typing import Any

import pytest
from django.db import connection, transaction

from django_q.cluster import connections
from django_q.cluster.connections import OpenConnections

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was found each time that it was looked."""
    found: list[Any] = []
    look = connections.leave_connections

    def noted() -> Any:
        found.append(look())
        return found[-1]

    monkeypatch.setattr(connections, "leave_connections", noted)
    return found


def test_nobody_looks_while_none_was_opened(looks: list[Any]) -> None:
    connection.close()
    between = OpenConnections()

    assert [list(between.leave()) for _ in range(3)] == [[], [], []]
    assert looks == [[]]


def test_one_that_stays_open_is_looked_at_each_time(
    looks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    connection.close()
    between = OpenConnections()
    between.leave()
    connection.ensure_connection()

    assert [each.alias for each in between.leave()] == [connection.alias]
    transaction.set_autocommit(False)  # as a task may leave it
    assert list(between.leave()) == []
    assert connection.connection is None
    assert len(looks) == 3


def test_a_transaction_that_was_left_open_is_rolled_back(looks: list[Any]) -> None:
    connection.close()
    between = OpenConnections()
    between.leave()
    transaction.atomic().__enter__()

    assert list(between.leave()) == []
    assert not connection.in_atomic_block
