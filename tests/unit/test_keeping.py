"""Where results are kept, and what that saves: a plain task's record is that of any other."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q import recorder
from django_q.package import build_package
from django_q.recorder import prepare
from tests.site import tasks
from tests.unit.test_recorder import finished, leased

Configure = Callable[..., Any]


@pytest.mark.parametrize("settings", [{}, {"save_limit": -1}, {"cached": True}])
@pytest.mark.parametrize("success", [True, False])
@pytest.mark.parametrize("deliveries", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"group": "g", "timeout": 3}, {"save": False}, {"save": True}, {"cached": 30}],
)
def test_a_task_that_nothing_hangs_on_has_the_record_of_any_other(
    q_cluster: Configure,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    options: Any,
    success: bool,
    deliveries: int,
) -> None:
    q_cluster(**settings)
    outcome = finished("why", success, **options)
    short = prepare(outcome, leased(deliveries))

    monkeypatch.setattr("django_q.recorder._PLAIN", frozenset())

    assert prepare(outcome, leased(deliveries)) == short


def test_what_hangs_on_a_task_is_not_overlooked() -> None:
    packages = [
        build_package("tests.site.tasks.echo", (), {}, {key: value})
        for key, value in {
            "hook": "tests.site.tasks.echo",
            "chain": ["tests.site.tasks.echo"],
            "on_success": "tests.site.tasks.echo",
            "unique": "key",
            "concurrency_key": "key",
            "gather": ("0" * 32, 1),
            "tracked": True,
            "attempt": 2,
            "iter_count": 3,
        }.items()
    ]

    assert not [package for package in packages if package.keys() <= recorder._PLAIN]


# What is not kept.


@pytest.mark.parametrize(
    ("settings", "options"), [({"save_limit": -1}, {}), ({}, {"save": False}), ({}, {"save": 0})]
)
@pytest.mark.parametrize("more", [{}, {"hook": "tests.site.tasks.echo"}])
def test_a_result_that_nobody_keeps_is_not_pickled(
    q_cluster: Configure, settings: Any, options: Any, more: Any
) -> None:
    q_cluster(**settings)

    outcome, prepared = prepare(finished(tasks.Unpicklable(), **options, **more), leased())

    assert outcome.success and prepared.acknowledge
    assert prepared.row is not None
    assert (prepared.row.args, prepared.row.kwargs, prepared.row.result) == (None, None, None)


@pytest.mark.parametrize("options", [{"cached": True}, {"gather": ("0" * 32, 1)}])
def test_a_result_that_is_kept_elsewhere_is_pickled(options: Any, q_cluster: Configure) -> None:
    q_cluster(save_limit=-1)
    outcome = finished()
    outcome.package.update(options)

    _, prepared = prepare(outcome)

    assert not prepared.to_database
    assert prepared.row is not None and prepared.row.result is not None
