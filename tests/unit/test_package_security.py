"""Who may seal packages, in which form they are opened, how old they may be, what they may call."""

import base64
import datetime
import decimal
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings
from django.utils import timezone

from django_q import checks, signing
from django_q.exceptions import PackageError, PackageRejected
from django_q.functions import find_function
from django_q.package import build_package
from django_q.sealed import open_package, seal_package
from tests.site import tasks

Configure = Callable[..., Any]
Q = "default"
ECHO = "tests.site.tasks.echo"


def build(*args: Any, func: Any = ECHO, **kwargs: Any) -> Any:
    return build_package(func, args, kwargs, {})


# JSON.


def test_a_package_may_be_json(q_cluster: Configure) -> None:
    q_cluster(serializer="json")
    moment = datetime.datetime(2026, 11, 28, 14, tzinfo=datetime.UTC)
    package = build((1, {2}), decimal.Decimal("1.50"), moment, two=b"\0")

    sealed = seal_package(package, Q)

    assert signing.unchecked(sealed)[0] == b"j"
    assert open_package(sealed, Q) == package


def test_json_may_be_compressed(q_cluster: Configure) -> None:
    q_cluster(serializer="json", compress=True)
    package = build("a" * 10_000)

    sealed = seal_package(package, Q)

    assert signing.unchecked(sealed)[0] == b"J" and len(sealed) < 2000
    assert open_package(sealed, Q) == package


def test_a_function_goes_into_json_as_its_path(q_cluster: Configure) -> None:
    q_cluster(serializer="json")

    assert open_package(seal_package(build(func=tasks.echo), Q), Q)["func"] == ECHO


def test_what_json_cannot_say_is_told_at_the_call(q_cluster: Configure) -> None:
    q_cluster(serializer="json")

    with pytest.raises(PackageError, match=r"argument 'b' \(Unshowable .* written as JSON"):
        seal_package(build(1, b=tasks.Unshowable()), Q)


def test_both_forms_are_opened_whatever_is_written(q_cluster: Configure) -> None:
    q_cluster()
    pickled = seal_package(build(1), Q)
    q_cluster(serializer="json")
    written = seal_package(build(2), Q)

    assert open_package(pickled, Q)["args"] == (1,)
    q_cluster()
    assert open_package(written, Q)["args"] == (2,)


def test_pickles_may_be_refused(q_cluster: Configure) -> None:
    q_cluster()
    ours = seal_package(build(tasks.RunsWhenOpened(tasks.noop)), Q)
    q_cluster(legacy="write")
    theirs = seal_package(build(1), Q)
    q_cluster(serializer="json", pickles=False)

    for sealed in (ours, theirs):
        with mock.patch("pickle.loads") as loads, pytest.raises(PackageRejected, match="pickle"):
            open_package(sealed, Q)
        loads.assert_not_called()
    assert open_package(seal_package(build(1), Q), Q)["args"] == (1,)


def test_who_refuses_pickles_and_writes_them_is_told(q_cluster: Configure) -> None:
    q_cluster(pickles=False)
    assert "django_q.E012" in [message.id for message in checks.check_settings()]

    q_cluster(pickles=False, serializer="json")
    assert "django_q.E012" not in [message.id for message in checks.check_settings()]


# Keys.


def test_a_key_of_its_own_signs_in_place_of_the_secret_key(q_cluster: Configure) -> None:
    q_cluster()
    with_secret = seal_package(build(1), Q)
    q_cluster(signing_key="k" * 50)
    with_own = seal_package(build(2), Q)

    with pytest.raises(PackageRejected, match="signature"):
        open_package(with_secret, Q)
    with override_settings(SECRET_KEY="another"):
        assert open_package(with_own, Q)["args"] == (2,)


def test_of_several_keys_the_first_signs_and_all_are_read(q_cluster: Configure) -> None:
    q_cluster(signing_key="old" * 20)
    old = seal_package(build(1), Q)
    q_cluster(signing_key=["new" * 20, "old" * 20])
    new = seal_package(build(2), Q)

    assert open_package(old, Q)["args"] == (1,)
    q_cluster(signing_key="new" * 20)
    assert open_package(new, Q)["args"] == (2,)
    with pytest.raises(PackageRejected):
        open_package(old, Q)


# Age.


@pytest.mark.parametrize("legacy", ["read", "write"])
def test_a_package_that_is_too_old_is_rejected(q_cluster: Configure, legacy: str) -> None:
    q_cluster(package_max_age=60, legacy=legacy)
    with mock.patch("django.core.signing.time.time", return_value=1_000_000_000.0):
        old = seal_package(build(1), Q)
    young = seal_package(build(2), Q)

    with pytest.raises(PackageRejected, match=r"s old, more than .*package_max_age.* \(60 s\)"):
        open_package(old, Q)
    assert open_package(young, Q)["args"] == (2,)


def test_age_counts_from_when_the_task_was_to_run(q_cluster: Configure) -> None:
    q_cluster(package_max_age=60)
    package = build(1) | {"run_at": timezone.now() - datetime.timedelta(seconds=30)}
    with mock.patch("django.core.signing.time.time", return_value=1_000_000_000.0):
        sealed = seal_package(package, Q)

    assert open_package(sealed, Q)["args"] == (1,)


# Functions.


def test_only_what_is_allowed_is_called(q_cluster: Configure) -> None:
    q_cluster(functions=["tests.site.tasks.*"])

    assert find_function(ECHO) is tasks.echo
    assert find_function(tasks.echo) is tasks.echo
    for other in ("os.system", "tests.site.tasks", print, base64.b64encode):
        with pytest.raises(PackageError, match=r"not among what .*functions.* tests.site.tasks.\*"):
            find_function(other)


def test_what_is_not_allowed_is_refused_at_the_call_too(q_cluster: Configure) -> None:
    q_cluster(functions=["tests.site.tasks.echo"])

    with pytest.raises(PackageError, match="os.system"):
        build(func="os.system")
    with pytest.raises(PackageError, match="tests.site.tasks.noop"):
        build_package(ECHO, (), {}, {"hook": "tests.site.tasks.noop"})


def test_a_module_that_is_not_allowed_is_not_imported(q_cluster: Configure) -> None:
    q_cluster(functions=["tests.site.tasks.*"])

    with mock.patch("importlib.import_module") as imported, pytest.raises(PackageError):
        find_function("antigravity.fly")
    imported.assert_not_called()


@pytest.mark.parametrize("path", [".math.sqrt", "math.sqrt" * 300, "a." * 5000])
def test_a_path_that_python_cannot_take_is_told(path: str) -> None:
    with pytest.raises(PackageError, match="cannot be found: a path from the top is needed"):
        find_function(path)


def test_an_empty_list_allows_nothing_but_what_collects_parts(q_cluster: Configure) -> None:
    q_cluster(functions=[])

    assert find_function("django_q.results.gatherings.gather")
    with pytest.raises(PackageError, match="nothing"):
        find_function(ECHO)


def test_the_time_of_sealing_can_be_told() -> None:
    before = timezone.now().timestamp()

    assert int(before) <= signing.sealed_at(seal_package(build(), Q)) <= before + 5


def test_what_a_module_has_imported_is_not_its_own(q_cluster: Configure) -> None:
    q_cluster(functions=["tests.site.tasks.*", "json.tool.*"])

    for path in ("tests.site.tasks.os.system", "json.tool.sys.exit"):
        with pytest.raises(PackageError, match="cannot be found"):
            find_function(path)


def test_our_own_tasks_are_the_only_door_to_our_modules(q_cluster: Configure) -> None:
    q_cluster(functions=[])

    for path in ("_decode", "pickle.loads", "find_function"):
        with pytest.raises(PackageError, match="not among what"):
            find_function(f"django_q.results.gatherings.{path}")


def test_a_bound_method_has_no_form_in_json(q_cluster: Configure) -> None:
    q_cluster(serializer="json")

    with pytest.raises(PackageError, match="written as JSON"):
        seal_package(build(datetime.datetime.now().isoformat), Q)


def test_the_next_attempt_is_as_young_as_its_task_was(q_cluster: Configure) -> None:
    q_cluster(package_max_age=60)
    with mock.patch("django.core.signing.time.time", return_value=1_000_000_000.0):
        sealed = seal_package(build(1), Q)

    assert open_package(sealed, Q, at_any_age=True)["args"] == (1,)
