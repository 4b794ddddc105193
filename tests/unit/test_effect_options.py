"""What cannot go with `atomic` is refused where it is said, with the value and the cure."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from django_q.brokers.memory import Memory
from django_q.brokers.orm import ORM
from django_q.checks import check_settings
from django_q.enqueue import async_task
from django_q.exceptions import PackageError
from django_q.models import OrmQ
from django_q.task_function import task
from django_q.tasks import async_chain, async_group, async_iter, result, schedule
from tests.site.effects import leave, leave_asynchronously

NOOP = "tests.site.tasks.noop"
Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def _queue(q_cluster: Configure) -> None:
    q_cluster(orm="default")


def sent() -> list[dict[str, Any]]:
    return [row.task for row in OrmQ.objects.order_by("pk")]


@pytest.mark.parametrize("value", [1, "yes", 0])
def test_a_value_that_says_neither_is_refused(value: Any) -> None:
    with pytest.raises(PackageError, match="atomic is .*: give True or False"):
        async_task(NOOP, atomic=value)


def test_a_broker_outside_the_database_is_refused() -> None:
    with pytest.raises(PackageError, match=r'the broker Memory .* Q_CLUSTER\["orm"\] = "default"'):
        async_task(NOOP, atomic=True, broker=Memory())


def test_packages_in_another_database_than_the_results_are_refused() -> None:
    broker = ORM()
    broker.alias = "other"

    with pytest.raises(PackageError, match="packages are in the database 'other' .* 'default'"):
        async_task(NOOP, atomic=True, broker=broker)


def test_a_result_in_the_cache_is_refused(q_cluster: Configure) -> None:
    with pytest.raises(PackageError, match="atomic is True, but cached is 60"):
        async_task(NOOP, atomic=True, cached=60)

    q_cluster(orm="default", cache=None)
    async_task(NOOP, atomic=True, cached=60)


def test_an_async_function_is_refused() -> None:
    for func in (leave_asynchronously, task(leave_asynchronously)):
        with pytest.raises(PackageError, match="leave_asynchronously is an async function"):
            async_task(func, "a", atomic=True)


def test_clusters_of_django_q2_are_not_sent_such_tasks(q_cluster: Configure) -> None:
    q_cluster(orm="default", legacy="write")

    with pytest.raises(PackageError, match="legacy.* is 'write'"):
        async_task(NOOP, atomic=True)


def test_members_of_chains_groups_and_iterations_are_looked_at_too(q_cluster: Configure) -> None:
    link = (NOOP, (), {"q_options": {"atomic": True}})
    for cached in (True, 60):
        with pytest.raises(PackageError, match="cached is"):
            async_chain([NOOP, link], cached=cached)
    with pytest.raises(PackageError, match="cached is True"):
        async_iter(NOOP, [1, 2], atomic=True, cached=True)

    q_cluster(broker_class="django_q.brokers.memory.Memory")
    for send in (
        lambda: async_chain([NOOP, link]),
        lambda: async_group([link, NOOP]),
        lambda: async_group([NOOP], callback=link),
        lambda: async_task(NOOP, on_failure=link),
        lambda: schedule(NOOP, q_options={"atomic": True}),
    ):
        with pytest.raises(PackageError, match="the broker Memory"):
            send()


def test_the_option_is_taken_from_wherever_options_are(q_cluster: Configure) -> None:
    decorated = task(atomic=True)(leave)
    async_task(decorated, "a")
    async_task(NOOP, q_options={"atomic": True})
    q_cluster(orm="default", atomic=True)
    async_task(NOOP)
    async_task(NOOP, atomic=False)
    async_group([NOOP], callback=NOOP)

    assert [package.get("atomic") for package in sent()] == [True, True, True, False, True]


def make_broker(list_key: str | None) -> Memory:
    """Make a broker, as a project's own function may."""
    return Memory(list_key)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "packages are outside the database and the results in the database 'default'"),
        ({"broker_class": "django_q.brokers.memory.Memory"}, "packages are outside the database"),
        ({"broker_class": f"{__name__}.make_broker"}, "packages are outside the database"),
        ({"broker_class": ".nowhere", "orm": "default", "cached": True}, "go to the cache"),
        ({"orm": "default", "cached": True}, '"cached" is True: results go to the cache'),
        ({"orm": "default", "legacy": "write"}, "clusters of django-q2"),
    ],
)
def test_a_setting_that_cannot_be_kept_is_an_error(settings: dict[str, Any], text: str) -> None:
    with override_settings(Q_CLUSTER=settings | {"atomic": True}):
        (message,) = [found for found in check_settings() if found.id == "django_q.E016"]

    assert text in message.msg
    assert message.hint


def test_a_database_of_its_own_for_results_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ALIAS", "results")

    with override_settings(Q_CLUSTER={"orm": "default", "atomic": True}):
        messages = [found.msg for found in check_settings() if found.id == "django_q.E016"]

    assert "in the database 'default' and the results in the database 'results'" in messages[0]


@pytest.mark.parametrize("settings", [{"orm": "default"}, {"sync": True}])
def test_a_setting_that_can_be_kept_is_none(settings: dict[str, Any]) -> None:
    with override_settings(Q_CLUSTER=settings | {"atomic": True}):
        assert not check_settings()


def test_in_place_no_broker_is_asked() -> None:
    settings = {"broker_class": "django_q.brokers.memory.Memory", "sync": True, "atomic": True}
    with override_settings(Q_CLUSTER=settings):
        iteration = async_iter(NOOP, [()])
        async_group([NOOP], callback="tests.site.tasks.echo")
        schedule(NOOP)

        assert result(iteration) == [None]
