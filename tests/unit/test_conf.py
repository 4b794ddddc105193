"""Settings: read when used, checked, patchable."""

import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings
from django.utils.translation import gettext_lazy

from django_q.conf import Conf, effective_settings, wrong_values
from django_q.exceptions import ConfigurationError


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    """No patch outlives its test."""
    yield
    Conf._patched.clear()
    Conf.reset()


def test_nothing_has_to_be_configured(q_cluster: Callable[..., Any]) -> None:
    q_cluster()

    assert (Conf.PREFIX, Conf.CLUSTER_NAME, Conf.RETRY, Conf.BULK) == ("default", "default", 60, 1)
    assert (Conf.SAVE_LIMIT, Conf.TIMEOUT, Conf.GRACE, Conf.RECEIPTS) == (250, None, 5, True)
    assert os.cpu_count() == Conf.WORKERS
    assert Conf.Q_STAT == "django_q:default:cluster"


def test_a_key_is_read_by_its_upper_case_name(q_cluster: Callable[..., Any]) -> None:
    raw = q_cluster(name="shop", compress=True, workers=3, retry=12.5, redis="redis://host")

    assert (Conf.PREFIX, Conf.COMPRESSED, Conf.WORKERS, Conf.RETRY) == ("shop", True, 3, 12.5)
    assert Conf.conf == raw


def test_the_queue_is_called_as_the_project_unless_it_has_a_name(
    q_cluster: Callable[..., Any],
) -> None:
    q_cluster(name="shop")
    assert Conf.CLUSTER_NAME == "shop"

    q_cluster(name="shop", cluster_name="mails")
    assert (Conf.PREFIX, Conf.CLUSTER_NAME) == ("shop", "mails")


def test_an_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'WORKRES'"):
        Conf.WORKRES  # noqa: B018
    with pytest.raises(AttributeError):
        Conf.workers  # noqa: B018


def test_changed_settings_are_seen_at_the_next_use() -> None:
    with override_settings(Q_CLUSTER={"workers": 2}):
        before = Conf.version
        assert Conf.WORKERS == 2
        with override_settings(Q_CLUSTER={"workers": 5}):
            assert Conf.WORKERS == 5
            assert Conf.version != before
        assert Conf.WORKERS == 2


def test_new_keys_count_as_changed_settings() -> None:
    before = Conf.version

    with override_settings(SECRET_KEY_FALLBACKS=["old"]):
        assert Conf.version != before


# The environment.


def test_the_environment_names_the_cluster(
    q_cluster: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("Q_CLUSTER_NAME", "long")

    q_cluster(name="shop", timeout=60, ALT_CLUSTERS={"long": {"timeout": 3600}, "other": {}})

    assert (Conf.PREFIX, Conf.CLUSTER_NAME, Conf.TIMEOUT) == ("shop", "long", 3600)


@pytest.mark.parametrize("clusters", [None, {}, {"short": {"timeout": 1}}, {"long": None}])
def test_a_named_cluster_needs_no_settings_of_its_own(
    q_cluster: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, clusters: Any
) -> None:
    monkeypatch.setenv("Q_CLUSTER_NAME", "long")

    q_cluster(timeout=60, ALT_CLUSTERS=clusters)

    assert (Conf.CLUSTER_NAME, Conf.TIMEOUT) == ("long", 60)


@pytest.mark.parametrize("clusters", ["long", ["long"], {"long": 5}])
def test_alternatives_that_are_no_dicts_are_told(
    q_cluster: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, clusters: Any
) -> None:
    monkeypatch.setenv("Q_CLUSTER_NAME", "long")
    q_cluster(ALT_CLUSTERS=clusters)

    with pytest.raises(ConfigurationError, match="ALT_CLUSTERS.*dict of dicts"):
        effective_settings()


# Wrong values.


@pytest.mark.parametrize(
    ("key", "value", "cure"),
    [
        ("workers", "4", "a whole number"),
        ("workers", 0, "at least 1 processes"),
        ("workers", True, "a whole number"),
        ("workers", 2.0, "a whole number"),
        ("retry", 0, "at least 0.1 s"),
        ("retry", float("nan"), "a number"),
        ("retry", float("inf"), "a number"),
        ("guard_cycle", 61, "at most 60 s"),
        ("timeout", "1m", "a number or None"),
        ("sync", "no", "True or False"),
        ("redis", 5, "a dict or a string"),
        ("disque_nodes", 5, "a list or a string or None"),
        ("legacy", "on", "one of 'read', 'write', 'off'"),
        ("orm", b"default", "a string or None"),
        ("functions", ["shop.*", 5], "a list of strings"),
    ],
)
def test_a_wrong_value_is_told_with_what_it_must_be(
    q_cluster: Callable[..., Any], key: str, value: Any, cure: str
) -> None:
    q_cluster(**{key: value})
    problem = f'Q_CLUSTER["{key}"] is {value!r}: it must be {cure}.'

    with pytest.raises(ConfigurationError) as caught:
        Conf.PREFIX  # noqa: B018
    assert str(caught.value) == problem
    assert wrong_values({key: value}) == [problem]


@pytest.mark.parametrize(
    "settings",
    [
        {"redis": ["redis://:hush@host"]},
        {"broker": ["redis://:hush@host"]},
        {"sqs": [{"aws_secret_access_key": "hush"}]},
        {"disque_auth": ["hush"]},
        {"disque_nodes": {"auth": "hush"}},
        "redis://:hush@host",
        ["redis://:hush@host"],
    ],
)
def test_a_wrong_value_is_told_without_what_is_secret_in_it(settings: Any) -> None:
    with override_settings(Q_CLUSTER=settings), pytest.raises(ConfigurationError) as caught:
        Conf.PREFIX  # noqa: B018

    assert "must be" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"timeout": None, "retry": 5, "grace": 0.5},
        {"label": gettext_lazy("Tasks")},
        {"cached": True},
        {"cached": 60},
        {"workers": 10**400},
        {"disque_nodes": ("one:7711", "two:7711")},
        {"redis": {"host": "h", "port": 1}},
        {"receipts": 0, "sync": 1},
        {"sqs": {}, "save_limit": -1, "save_limit_per": "group"},
    ],
)
def test_these_values_are_right(values: dict[str, Any]) -> None:
    assert wrong_values(values) == []


def test_every_default_is_right() -> None:
    Conf.PREFIX  # noqa: B018
    values = {key: getattr(Conf._settings, key) for key in type(Conf._settings).__annotations__}

    assert wrong_values(values) == []


@pytest.mark.parametrize("value", [5, "redis://", ["workers"]])
def test_settings_that_are_no_dict_are_told(value: Any) -> None:
    with override_settings(Q_CLUSTER=value), pytest.raises(ConfigurationError, match="a dict"):
        Conf.PREFIX  # noqa: B018


def test_no_settings_at_all_are_the_defaults() -> None:
    with override_settings(Q_CLUSTER=None):
        assert Conf.PREFIX == "default"


# Set or not.


def test_what_the_project_wrote_is_set(q_cluster: Callable[..., Any]) -> None:
    q_cluster(ack_failures=False, queue_limit=None)

    assert Conf.is_set("ack_failures")
    assert not Conf.is_set("retry")
    # {"queue_limit": os.environ.get(...)} is a way to say nothing.
    assert not Conf.is_set("queue_limit")


def test_what_is_patched_is_set(q_cluster: Callable[..., Any]) -> None:
    q_cluster(orm="default")

    Conf.BULK = 7
    Conf.ORM = None

    assert Conf.is_set("bulk")
    assert not Conf.is_set("orm")


# Patches, as tests of projects do them.


def test_a_patched_attribute_wins_until_it_is_given_back(
    q_cluster: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    q_cluster(retry=9)

    with monkeypatch.context() as patch:
        patch.setattr(Conf, "RETRY", 3)
        assert Conf.RETRY == 3

    assert Conf.RETRY == 9
    assert Conf._patched == {}


def test_a_patched_attribute_wins_over_changed_settings(q_cluster: Callable[..., Any]) -> None:
    Conf.RETRY = 3

    q_cluster(retry=12)

    assert Conf.RETRY == 3


def test_mock_can_patch_a_setting(q_cluster: Callable[..., Any]) -> None:
    q_cluster(retry=9)

    with mock.patch.object(Conf, "RETRY", 4), mock.patch.object(Conf, "SYNC", True):
        assert (Conf.RETRY, Conf.SYNC) == (4, True)

    assert (Conf.RETRY, Conf.SYNC) == (9, False)
    assert Conf._patched == {}


def test_a_patch_changes_what_is_derived_from_it() -> None:
    Conf.PREFIX = "mine"
    Conf.WORKERS = 3

    assert Conf.Q_STAT == "django_q:mine:cluster"
    assert Conf.QUEUE_LIMIT == 9


def test_a_deleted_patch_gives_the_setting_back(q_cluster: Callable[..., Any]) -> None:
    q_cluster(save_limit=7)
    Conf.SAVE_LIMIT = 1

    del Conf.SAVE_LIMIT

    assert Conf.SAVE_LIMIT == 7
