"""Metrics of processes that ended are taken away, where there is something that keeps them."""

import sys
import types
from typing import Any

import pytest

from django_q.cluster.metrics import forget_process


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids that a prometheus_client was told of."""
    told: list[int] = []

    def mark_process_dead(pid: int) -> None:
        if pid < 0:
            raise FileNotFoundError("no such directory")
        told.append(pid)

    module: Any = types.ModuleType("prometheus_client.multiprocess")
    module.mark_process_dead = mark_process_dead
    monkeypatch.setitem(sys.modules, "prometheus_client", types.ModuleType("prometheus_client"))
    monkeypatch.setitem(sys.modules, "prometheus_client.multiprocess", module)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/somewhere")
    return told


def test_a_process_that_ended_is_told(forgotten: list[int]) -> None:
    forget_process(42)

    assert forgotten == [42]


def test_trouble_leaves_a_line(forgotten: list[int], caplog: pytest.LogCaptureFixture) -> None:
    forget_process(-1)

    assert "The metrics of process -1 cannot be removed: no such directory" in caplog.text


def test_without_the_directory_nobody_is_asked(
    forgotten: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")

    forget_process(42)

    assert forgotten == []


def test_without_the_library_nothing_happens(
    forgotten: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.multiprocess", None)

    forget_process(42)

    assert forgotten == []
