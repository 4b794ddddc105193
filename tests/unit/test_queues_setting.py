"""What `Q_CLUSTER["queues"]` may say, and which cluster it is for."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers.memory import Memory
from django_q.brokers.several import serving_broker
from django_q.exceptions import ConfigurationError

Configure = Callable[..., Any]
MEMORY = "django_q.brokers.memory.Memory"


def test_one_queue_needs_no_more_than_its_broker(q_cluster: Configure) -> None:
    q_cluster(broker_class=MEMORY, queues=["default"])

    assert type(serving_broker("default")) is Memory


def test_another_cluster_serves_its_own_queue(
    q_cluster: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    alternatives = {"night": {"queues": ["a", "b"]}}
    monkeypatch.setenv("Q_CLUSTER_NAME", "reports")
    q_cluster(broker_class=MEMORY, queues=["high", "default"], ALT_CLUSTERS=alternatives)
    assert list(serving_broker("reports").queue_names) == ["reports"]

    monkeypatch.setenv("Q_CLUSTER_NAME", "night")
    q_cluster(broker_class=MEMORY, queues=["high"], ALT_CLUSTERS=alternatives)
    assert list(serving_broker("night").queue_names) == ["a", "b"]


@pytest.mark.parametrize(
    ("queues", "why"),
    [
        ([], "at least"),
        ({}, "at least"),
        (["a", "b", "a"], "names 'a' twice"),
        (["a", ""], "'' is no name"),
        (["a", 3], "3 is no name"),
        (["x" * 101], "is no name"),
        ({"a": 0}, "weight of 'a'"),
        ({"a": 1.5}, "weight of 'a'"),
        ({"a": True}, "weight of 'a'"),
        ("a", "must be a list or a dict"),
    ],
)
def test_queues_that_are_none_are_refused(q_cluster: Configure, queues: Any, why: str) -> None:
    q_cluster(queues=queues)

    with pytest.raises(ConfigurationError, match=why):
        serving_broker("default")
