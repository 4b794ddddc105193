"""Packages, sealed and opened: what comes out is what went in, or it is told why not."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings

from django_q import signing
from django_q.exceptions import PackageError, PackageRejected, PayloadTooLarge
from django_q.package import build_package
from django_q.sealed import open_package, open_plain, seal_package, seal_packages
from django_q.signing import as_text
from tests.site import tasks

Q = "default"


def build(*args: Any, func: Any = "tests.site.tasks.echo", **kwargs: Any) -> Any:
    return build_package(func, args, kwargs, {})


def reopened(package: Any) -> Any:
    return open_package(seal_package(package, Q), Q)


@pytest.mark.parametrize("legacy", ["read", "write"])
def test_a_sealed_package_opens_as_it_was(q_cluster: Callable[..., Any], legacy: str) -> None:
    q_cluster(legacy=legacy)
    package = build("ü\0\ud800😀", b"\0\xff", {1: {2: [3]}}, ü="ö", func=tasks.echo)

    sealed = seal_package(package, Q)

    assert signing.is_legacy(sealed) == (legacy == "write")
    assert open_package(sealed, Q) == package


@pytest.mark.parametrize("serializer", ["pickle", "json"])
def test_a_plain_package_opens_at_once_to_the_same(
    q_cluster: Callable[..., Any], serializer: str
) -> None:
    q_cluster(serializer=serializer)
    sealed = seal_package(build("ü\0😀", 1.5, {"2": [None]}, ü="ö"), Q)

    assert open_plain(sealed, Q) == open_package(sealed, Q)


def test_what_may_hang_or_be_rejected_is_not_opened_at_once(q_cluster: Callable[..., Any]) -> None:
    plain = seal_package(build(1), Q)

    assert open_plain(seal_package(build(timedelta(1)), Q), Q) is None
    assert open_plain(seal_package(build("x" * 2**16), Q), Q) is None
    assert open_plain(plain, "another queue") is None
    assert open_plain(signing.seal([1], "task", Q), Q) is None
    assert open_plain("foreign", Q) is None
    q_cluster(pickles=False, serializer="json")
    assert open_plain(plain, Q) is None


MOMENT = datetime(2030, 10, 27, 2, 30, 0, 123456)


@pytest.mark.parametrize("serializer", ["pickle", "json"])
@pytest.mark.parametrize(
    "started",
    [
        MOMENT,
        MOMENT.replace(microsecond=0),
        MOMENT.replace(tzinfo=UTC),
        MOMENT.replace(tzinfo=timezone(timedelta(hours=5.5))),
    ],
)
def test_the_moment_of_a_package_comes_back(
    q_cluster: Callable[..., Any], serializer: str, started: datetime
) -> None:
    q_cluster(serializer=serializer)
    package = {**build(), "started": started}

    opened = reopened(package)

    assert opened == package
    assert opened["started"].utcoffset() == started.utcoffset()
    assert package["started"] is started


@pytest.mark.parametrize("legacy", ["read", "write"])
def test_packages_sealed_together_are_those_sealed_singly(
    q_cluster: Callable[..., Any], legacy: str
) -> None:
    q_cluster(legacy=legacy)
    early, late = MOMENT.replace(tzinfo=UTC), MOMENT.replace(fold=1)
    packages = [{**build(n), "started": early if n % 3 else late} for n in range(6)]

    sealed = seal_packages(packages, Q)

    assert [open_package(payload, Q) for payload in sealed] == packages
    assert list(map(len, sealed)) == [len(seal_package(package, Q)) for package in packages]


def test_a_package_that_lost_its_moment_is_not_sealed() -> None:
    package = build()
    del package["started"]

    with pytest.raises(PackageError, match="started"):
        seal_packages([package], Q)


@pytest.mark.parametrize(
    "started", [MOMENT.replace(fold=1), MOMENT.replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=1)]
)
def test_a_moment_that_is_more_than_its_text_comes_back_too(started: datetime) -> None:
    opened = reopened({**build(), "started": started})

    assert opened["started"] == started
    assert (opened["started"].fold, opened["started"].tzinfo) == (1, started.tzinfo)


def test_a_package_whose_moment_is_a_pickle_opens() -> None:
    package = build()

    assert open_package(signing.seal(package, "task", Q), Q) == package


def test_ten_megabytes_are_carried() -> None:
    package = build(bytes(10 * 2**20))

    assert reopened(package) == package


@pytest.mark.parametrize("as_bytes", [False, True])
def test_more_than_workers_open_is_refused_at_the_call(
    q_cluster: Callable[..., Any], as_bytes: bool
) -> None:
    q_cluster(max_package=10_000)

    with pytest.raises(
        PayloadTooLarge, match=r"tests.site.tasks.echo: .* bytes .*10000.*reference"
    ):
        seal_package(build(bytes(10_000)), Q, as_bytes=as_bytes)
    sealed = seal_package(build(bytes(9_000)), Q, as_bytes=as_bytes)
    assert open_package(sealed, Q) and open_package(as_text(sealed), Q)


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, tasks.Unpicklable()), {}, "argument 2 (Unpicklable <tests"),
        ((), {"a": 1, "b": lambda: None}, "argument 'b' (function <function"),
        ((object, threading.Lock()), {}, "argument 2 (lock <unlocked"),
    ],
)
def test_an_argument_that_cannot_be_pickled_is_named(args: Any, kwargs: Any, named: str) -> None:
    package = build_package("tests.site.tasks.echo", args, kwargs, {})

    with pytest.raises(PackageError) as caught:
        seal_package(package, Q)

    assert str(caught.value).startswith(f"tests.site.tasks.echo: {named}")
    assert "cannot be pickled" in str(caught.value)
    assert caught.value.__cause__ is not None


class _Coy(tasks.Unpicklable, tasks.Unshowable):
    pass


def test_an_argument_that_cannot_even_be_shown_is_named() -> None:
    with pytest.raises(PackageError, match=r"argument 1 \(_Coy without a working repr"):
        seal_package(build(_Coy()), Q)


def test_an_option_that_cannot_be_pickled_is_named() -> None:
    package = build()
    package["group"] = tasks.Unpicklable()

    with pytest.raises(PackageError, match="option 'group'"):
        seal_package(package, Q)


def test_a_mock_as_function_is_named() -> None:
    with pytest.raises(PackageError, match="option 'func'.*Mock"):
        seal_package(build(func=mock.Mock()), Q)


def test_arguments_deeper_than_the_stack_are_told() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(PackageError, match="argument 1 .*recursion"):
        seal_package(build(deep), Q)


def test_a_package_of_django_q_opens_only_where_it_may(q_cluster: Callable[..., Any]) -> None:
    package = build(1)
    sealed = signing.SignedPackage.dumps(package)

    assert open_package(sealed, "any queue") == package
    q_cluster(legacy="off")
    with pytest.raises(PackageRejected, match="legacy"):
        open_package(sealed, Q)


@pytest.mark.parametrize("payload", ["", "hello", "~p.x:y:z", "\0", "\ud800:x", "ü" * 1000])
def test_foreign_text_is_rejected(payload: str) -> None:
    with pytest.raises(PackageRejected):
        open_package(payload, Q)


@pytest.mark.parametrize("payload", ["a:\0", "a:\ud800", "a:" + "x" * 100_000])
def test_the_reason_can_be_stored_whatever_the_payload_was(payload: str) -> None:
    with pytest.raises(PackageRejected) as caught:
        open_package(payload, Q)

    reason = str(caught.value)
    assert len(reason) < 500
    assert reason.isascii() and "\0" not in reason


def test_a_wrong_key_or_queue_is_rejected_with_the_reason() -> None:
    sealed = seal_package(build(), Q)

    with pytest.raises(PackageRejected, match="signature does not match.*queue"):
        open_package(sealed, "other")
    with override_settings(SECRET_KEY="other"), pytest.raises(PackageRejected, match="SECRET_KEY"):
        open_package(sealed, Q)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_payload_beyond_the_limit_is_rejected_unread(
    q_cluster: Callable[..., Any], as_bytes: bool
) -> None:
    sealed = seal_package(build(bytes(5000)), Q, as_bytes=as_bytes)
    q_cluster(max_package=1024)

    with pytest.raises(PackageRejected, match="more than .*max_package"):
        open_package(sealed, Q)


def test_the_largest_package_is_the_same_as_text_and_as_bytes(
    q_cluster: Callable[..., Any],
) -> None:
    q_cluster(max_package=2001)
    package = build()

    def fits(length: int, *, as_bytes: bool) -> bool:
        package["args"] = (bytes(length),)
        try:
            sealed = seal_package(package, Q, as_bytes=as_bytes)
        except PayloadTooLarge:
            return False
        return bool(open_package(sealed, Q))

    fitting = [
        max(n for n in range(1000, 2500) if fits(n, as_bytes=as_bytes))
        for as_bytes in (False, True)
    ]

    assert fitting[0] == fitting[1]


def test_a_class_that_is_gone_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal_package(build(tasks.Unshowable()), Q)
    monkeypatch.delattr("tests.site.oddities.Unshowable")

    with pytest.raises(PackageRejected, match="AttributeError.*moved or removed"):
        open_package(sealed, Q)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None}, {"id": 5}, {"id": ""}, {"id": "x" * 33}, {"name": None}, {"func": None},
        {"func": 5}, {"args": "x"}, {"args": None}, {"kwargs": []}, {"started": "now"},
        {"args": tasks.Unshowable()}, {"started": 1 << 20_000},
    ],
)  # fmt: skip
def test_a_package_without_what_it_needs_is_rejected(changes: dict[str, Any]) -> None:
    sealed = seal_package({**build(), **changes}, Q)  # type: ignore[typeddict-item]

    with pytest.raises(PackageRejected, match="no usable"):
        open_package(sealed, Q)


@pytest.mark.parametrize("value", [None, 5, "task", [1, 2], {}])
def test_what_is_no_task_is_rejected(value: Any) -> None:
    with pytest.raises(PackageRejected):
        open_package(signing.seal(value, "task", Q), Q)
