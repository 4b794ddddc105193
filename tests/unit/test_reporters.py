"""Error reporters: found by their names, made once, told of every error, never in the way."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from django_q import conf, reporters
from django_q.conf import Conf
from django_q.executor import execute
from django_q.package import Outcome, build_package
from django_q.reporters import ErrorReporter, error_reporter
from django_q.soft_limit import NoLimit, SoftLimit

_told: list[Any] = []


class Telling:
    """Keeps what it was made with and told."""

    def __init__(self, **arguments: Any) -> None:
        _told.append(arguments)
        arguments.get("tags", []).append("changed")

    def report(self) -> None:
        _told.append(sys.exc_info()[1])


class Raising(Telling):
    def report(self) -> None:
        raise OSError("no network")


class Leaving(Telling):
    def report(self) -> None:
        raise SystemExit(3)


class Hanging(Telling):
    def report(self) -> None:
        while True:
            pass


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What reporters were made with and told; those of this file are offered by installed ones."""

    def offered(group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == "djangoq.errorreporters"
        kinds = {"telling": "Telling", "raising": "Raising", "leaving": "Leaving",
                 "hanging": "Hanging", "moved": "Moved"}  # fmt: skip
        return [
            EntryPoint(key, f"{__name__}:{kind}", group)
            for key, kind in kinds.items()
            if name in (None, key)
        ]

    monkeypatch.setattr(reporters, "entry_points", offered)
    _told.clear()
    yield _told
    Conf.reset()


def run(func: str = "tests.site.tasks.fail", **options: Any) -> Outcome:
    return execute(build_package(func, (), {}, options), NoLimit())


def test_a_reporter_is_told_of_the_error_being_handled(q_cluster: Any, told: list[Any]) -> None:
    q_cluster(error_reporter={"telling": {"dsn": "here"}})

    outcomes = [run(), run("tests.site.tasks.missing"), run("tests.site.tasks.leave")]

    assert told == [{"dsn": "here"}, *(outcome.error for outcome in outcomes)]


def test_a_success_is_not_reported(q_cluster: Any, told: list[Any]) -> None:
    q_cluster(error_reporter={"telling": {}})

    assert run("tests.site.tasks.noop").success
    assert told == []


def test_the_settings_stay_as_they_are(q_cluster: Any) -> None:
    values = q_cluster(error_reporter={"telling": {"tags": ["shop"]}})

    run()

    assert values["error_reporter"] == {"telling": {"tags": ["shop"]}}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("raising", "The error reporter Raising raised"),
        ("leaving", "cannot be reported"),
        ("moved", "The error reporter 'moved' cannot be used"),
        ("absent", "names 'absent', which no installed package offers. There are: hanging,"),
    ],
)
def test_a_reporter_in_trouble_leaves_a_line_and_hurts_nothing(
    name: str, line: str, q_cluster: Any, told: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    # The names are gone through in this order; a SystemExit ends them.
    others: dict[str, Any] = {"telling": {}, name: {}} if name == "leaving" else {name: {}}
    q_cluster(error_reporter=others | {"telling": {}})

    outcome = run()

    assert outcome.result.startswith("on purpose : Traceback")
    assert outcome.error in told
    assert line in caplog.text


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_reporter_that_hangs_is_cut_off(
    timeout: Any, q_cluster: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    q_cluster(error_reporter={"hanging": {}}, grace=0.2)
    monkeypatch.setattr("django_q.executor._REPORT_TIME", 0.1)
    package = build_package("tests.site.tasks.fail", (), {}, {"timeout": timeout})

    outcome = execute(package, SoftLimit())

    assert outcome.result.startswith("on purpose : Traceback")
    assert "The error reporter ran longer than its limit of 0.1 s" in caplog.text


def test_the_name_in_conf_reports_for_code_of_ones_own(q_cluster: Any, told: list[Any]) -> None:
    q_cluster()
    named: Any = conf
    assert named.error_reporter is error_reporter
    assert not error_reporter
    assert error_reporter.targets == []
    q_cluster(error_reporter={"telling": {}})
    assert error_reporter
    error = KeyError("own")

    try:
        raise error
    except KeyError:
        error_reporter.report()

    assert told == [{}, error]


def test_reporters_can_be_put_together_by_hand(told: list[Any]) -> None:
    both: Callable[[], None] = ErrorReporter([Raising(), Telling()]).report

    both()

    assert told == [{}, {}, None]
