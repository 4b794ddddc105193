"""System checks: what is wrong with the settings, and the cure."""

import importlib.metadata
from collections.abc import Callable
from typing import Any

import pytest
from django.core import checks
from django.test import override_settings

from django_q.brokers import Broker
from django_q.brokers.memory import Memory
from django_q.checks import check_settings

Configure = Callable[..., Any]


def found() -> dict[str, checks.CheckMessage]:
    """Give the messages by the number of their check."""
    return {message.id: message for message in check_settings()}


def test_defaults_give_no_message(q_cluster: Configure) -> None:
    q_cluster()

    assert check_settings() == []


@pytest.mark.parametrize("values", [{"orm": "default"}, {"redis": "redis://h", "timeout": 600}])
def test_ordinary_settings_give_no_message(q_cluster: Configure, values: dict[str, Any]) -> None:
    q_cluster(name="shop", workers=4, retry=30, ALT_CLUSTERS={"long": {}}, **values)

    assert check_settings() == []


def test_django_runs_the_checks(q_cluster: Configure) -> None:
    q_cluster(wrokers=4)

    assert "django_q.W002" in {message.id for message in checks.run_checks()}


@pytest.mark.parametrize(
    ("key", "meant"),
    [("wrokers", "workers"), ("WORKERS", "workers"), ("time_out", "timeout")],
)
def test_an_unknown_setting_comes_with_a_suggestion(
    q_cluster: Configure, key: str, meant: str
) -> None:
    q_cluster(**{key: 4})

    message = found()["django_q.W002"]

    assert repr(key) in message.msg
    assert message.hint == f'Did you mean "{meant}"?'


def test_an_unknown_setting_like_no_other_is_named_too(q_cluster: Configure) -> None:
    q_cluster(has_replica=True)

    message = found()["django_q.W002"]

    assert "'has_replica'" in message.msg
    assert "docs/configure" in message.hint


def test_a_key_that_is_no_text_is_unknown() -> None:
    with override_settings(Q_CLUSTER={5: 1}):
        assert "setting 5;" in found()["django_q.W002"].msg


def test_each_wrong_value_is_an_error(q_cluster: Configure) -> None:
    q_cluster(workers="4", retry=-1, orm="nowhere")

    messages = check_settings()

    assert [message.id for message in messages] == ["django_q.E003", "django_q.E003"]
    assert "whole number" in messages[1].msg
    assert "at least" in messages[0].msg


@pytest.mark.parametrize("value", [[], "redis://host", 5])
def test_settings_that_are_no_dict_are_an_error(value: Any) -> None:
    with override_settings(Q_CLUSTER=value):
        assert "must be a dict" in found()["django_q.E001"].msg


def test_an_unknown_database_is_an_error_that_names_the_known_ones(q_cluster: Configure) -> None:
    q_cluster(orm="defualt")

    message = found()["django_q.E005"]

    assert "'defualt'" in message.msg
    assert "default" in message.hint


def test_an_unknown_cache_is_an_error_that_names_the_known_ones(q_cluster: Configure) -> None:
    q_cluster(cache="sharde")

    message = found()["django_q.E008"]

    assert "'sharde'" in message.msg
    assert "default, shared" in message.hint


@pytest.mark.parametrize("zone", ["Nowhere/Else", "Europe", "../etc/passwd", "Europe/a." * 400])
def test_an_unknown_time_zone_is_an_error(q_cluster: Configure, zone: str) -> None:
    q_cluster(time_zone=zone)

    assert repr(zone)[:50] in found()["django_q.E014"].msg


@pytest.mark.parametrize("path", ["math.pi", ".math.sqrt", "math.s" * 400])
def test_what_makes_no_broker_is_an_error(q_cluster: Configure, path: str) -> None:
    q_cluster(broker_class=path)

    assert "django_q.E010" in found()


class Stubborn(Memory):
    """Cannot renew."""

    can_renew = False


def make_broker(list_key: str | None) -> Broker:
    """Make a broker, as a project's own function may."""
    return Stubborn(list_key)


def fail_to_make(list_key: str | None) -> Broker:
    """Want what only a cluster has."""
    raise OSError("no network here")


@pytest.mark.parametrize("name", ["Stubborn", "make_broker"])
def test_a_broker_that_cannot_renew_needs_a_limit_whoever_makes_it(
    q_cluster: Configure, name: str
) -> None:
    q_cluster(broker_class=f"{__name__}.{name}", cache="shared")

    assert "cannot renew leases" in found()["django_q.W011"].msg


def test_a_function_that_makes_no_broker_now_is_not_looked_into(q_cluster: Configure) -> None:
    q_cluster(broker_class=f"{__name__}.fail_to_make", cache="shared")

    assert check_settings() == []


def test_a_project_may_do_without_a_cache(q_cluster: Configure) -> None:
    q_cluster(orm="default", cache=None)

    assert check_settings() == []


@pytest.mark.parametrize("level", ["LOUD", "info"])
def test_an_unknown_log_level_is_an_error(q_cluster: Configure, level: str) -> None:
    q_cluster(log_level=level)

    assert "WARNING" in found()["django_q.E007"].hint


@pytest.mark.parametrize("level", ["DEBUG", 15])
def test_levels_of_logging_are_right(q_cluster: Configure, level: Any) -> None:
    q_cluster(log_level=level)

    assert check_settings() == []


def test_a_heartbeat_in_a_cache_of_one_process_is_a_warning(q_cluster: Configure) -> None:
    q_cluster(sqs={})

    message = found()["django_q.W004"]

    assert "'default' is not shared" in message.msg


@pytest.mark.parametrize("values", [{"sqs": {}, "cache": "shared"}, {"orm": "default"}])
def test_a_heartbeat_that_all_can_see_is_right(
    q_cluster: Configure, values: dict[str, Any]
) -> None:
    q_cluster(**values)

    assert check_settings() == []


def test_another_distribution_with_our_module_is_an_error(
    q_cluster: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    q_cluster()
    installed = importlib.metadata.distribution

    def distribution(name: str) -> Any:
        return object() if name == "django-q2" else installed(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)

    message = found()["django_q.E006"]

    assert "django-q2 is installed" in message.msg
    assert "pip uninstall django-q2" in message.hint


def test_a_limit_of_the_queue_below_the_places_is_told(q_cluster: Configure) -> None:
    q_cluster(threads=16, queue_limit=5)

    message = found()["django_q.W013"]

    assert "5, fewer than the 16 tasks" in message.msg
    q_cluster(threads=16, queue_limit=16)
    assert "django_q.W013" not in found()


@pytest.mark.parametrize(("key", "most"), [("threads", 500), ("async_concurrency", 1000)])
def test_there_are_bounds_for_what_runs_side_by_side(
    q_cluster: Configure, key: str, most: int
) -> None:
    q_cluster(**{key: 0})
    assert "at least 1" in found()["django_q.E003"].msg
    q_cluster(**{key: most + 1})
    assert f"at most {most}" in found()["django_q.E003"].msg
    q_cluster(**{key: most})
    assert not found()
