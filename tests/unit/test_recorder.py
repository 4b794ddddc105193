"""From outcomes to results: what is kept where, what is acknowledged, and when."""

import os
import pickle
import socket
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from django_q.brokers import Lease
from django_q.package import Outcome, build_package
from django_q.recorder import as_task, pack, prepare, unpack
from django_q.results.base import worker_name
from django_q.sealed import open_package
from tests.site import tasks

Configure = Callable[..., Any]


def finished(result: Any = "done", success: bool = True, **options: Any) -> Outcome:
    package = build_package("tests.site.tasks.echo", (1,), {"two": 2}, options)
    now = timezone.now()
    error = None if success else ValueError(result)
    return Outcome(package, success, result, now, now, error)


def failed(**options: Any) -> Outcome:
    return finished("why : Traceback", False, **options)


def leased(deliveries: int = 1) -> Lease:
    lease = Lease("receipt", "payload", "id", deliveries)
    lease.key = "default:id"
    return lease


# Where a result goes.


@pytest.mark.parametrize(
    ("settings", "options", "success", "is_kept"),
    [
        ({}, {}, True, True),
        ({}, {"save": False}, True, False),
        ({}, {"save": False}, False, True),
        ({"save_limit": 0}, {}, True, True),
        ({"save_limit": -1}, {}, True, False),
        ({"save_limit": -1}, {}, False, True),
        ({"save_limit": -1}, {"save": True}, True, True),
        ({}, {"cached": True}, True, False),
        ({"cached": True}, {}, False, False),
        ({"cached": True, "cache": None}, {}, True, True),
        ({"cache": None}, {"cached": 30}, True, True),
    ],
)
def test_what_is_kept_in_the_database(
    q_cluster: Configure, settings: Any, options: Any, success: bool, is_kept: bool
) -> None:
    q_cluster(**settings)

    _, prepared = prepare(finished(success=success, **options))

    assert prepared.to_database is is_kept


@pytest.mark.parametrize(
    ("settings", "options", "seconds"),
    [
        ({}, {}, False),
        ({}, {"cached": True}, None),
        ({}, {"cached": 30}, 30),
        ({"cached": 60}, {}, 60),
        ({"cached": 60}, {"cached": True}, 60),
        ({"cached": 60}, {"cached": False}, False),
        ({"cache": None}, {"cached": True}, False),
    ],
)
def test_how_long_it_is_kept_in_the_cache(
    q_cluster: Configure, settings: Any, options: Any, seconds: Any
) -> None:
    q_cluster(**settings)

    _, prepared = prepare(finished(**options))

    assert prepared.to_cache == seconds
    assert (prepared.to_cache is None) == (seconds is None)


def test_an_option_from_an_old_package_that_means_nothing_hurts_nobody() -> None:
    outcome = finished()
    outcome.package["cached"] = "yes"  # type: ignore[typeddict-item]

    _, prepared = prepare(outcome)

    assert prepared.to_cache is None


# What cannot be kept.


class LeavesWhenPickled:
    """Ends the process while it is pickled, if nobody stops it."""

    def __reduce__(self) -> NoReturn:
        raise SystemExit(3)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (lambda: None, "function"),
        ((number for number in range(3)), "generator"),
        (tasks.Unpicklable(), "Unpicklable"),
        (LeavesWhenPickled(), "LeavesWhenPickled"),
    ],
)
def test_a_result_that_cannot_be_pickled_is_a_failure_that_says_so(result: Any, kind: str) -> None:
    outcome, prepared = prepare(finished(result))

    assert not outcome.success
    assert outcome.error is not None
    assert outcome.result.startswith(f"The result ({kind}) could not be stored: ")
    assert prepared.row is not None and not prepared.row.success
    assert prepared.to_database and prepared.acknowledge


def test_a_coroutine_as_result_is_no_different() -> None:
    coroutine = tasks.answer()

    outcome, _ = prepare(finished([coroutine]))
    coroutine.close()

    assert "could not be stored" in outcome.result


def test_arguments_that_the_task_spoiled_are_left_out() -> None:
    outcome = finished()
    outcome.package["kwargs"]["two"] = tasks.Unpicklable()

    outcome, prepared = prepare(outcome)

    assert (outcome.success, outcome.package["args"], outcome.package["kwargs"]) == (False, (), {})
    assert prepared.row is not None
    assert as_task(outcome).result == outcome.result


@pytest.mark.parametrize("func", [str.upper, tasks.Unshowable])
def test_a_function_without_a_name_of_its_own_is_kept(func: Any) -> None:
    outcome = finished()
    outcome.package["func"] = func

    assert prepare(outcome)[1].row is not None


def test_a_record_is_plain_and_travels() -> None:
    outcome = finished(tasks.Unshowable(), hook="tests.site.tasks.write_hook", group="g")

    _, prepared = prepare(outcome, leased())

    assert unpack(pack(prepared)) == prepared
    assert b"Unshowable" not in pickle.dumps(prepared)


def test_a_record_is_written_without_a_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    _, prepared = prepare(finished(group="g"), leased())
    monkeypatch.setattr("django_q.plain_values.pickle.dumps", pytest.fail)

    assert unpack(pack(prepared)) == prepared


# What ends a package.


@pytest.mark.parametrize(
    ("settings", "options", "deliveries", "is_done"),
    [
        ({}, {}, 1, True),
        ({"ack_failures": True}, {}, 1, True),
        ({"ack_failures": False}, {}, 1, False),
        ({"ack_failures": False}, {}, 1000, False),
        ({"ack_failures": False}, {"ack_failure": True}, 1, True),
        ({"ack_failures": False, "max_attempts": 3}, {}, 2, False),
        ({"ack_failures": False, "max_attempts": 3}, {}, 3, True),
        ({"max_attempts": 3}, {}, 1, True),
    ],
)
def test_a_failure_is_done_unless_the_project_says_otherwise(
    q_cluster: Configure, settings: Any, options: Any, deliveries: int, is_done: bool
) -> None:
    q_cluster(**settings)

    _, prepared = prepare(failed(**options), leased(deliveries))

    assert prepared.acknowledge is is_done
    assert prepared.to_database


def test_a_success_is_done_and_so_is_a_verdict(q_cluster: Configure) -> None:
    q_cluster(ack_failures=False)
    verdict = failed()._replace(error=None, result="The task ended its worker 3 times")

    assert prepare(finished(), leased())[1].acknowledge
    assert prepare(verdict, leased(4))[1].acknowledge


def test_only_what_was_delivered_before_is_in_the_ledger() -> None:
    assert prepare(finished(), leased(1))[1].ledger_key is None
    assert prepare(finished(), leased(2))[1].ledger_key == "default:id"
    assert prepare(finished())[1].receipt is None


# What follows.

_LINKS = [("tests.site.tasks.add", (1, 2))]


def test_the_next_link_follows_with_the_same_id_each_time() -> None:
    outcome = finished(chain=_LINKS, group="g")

    (first,), (second,) = (prepare(outcome)[1].followers for _ in range(2))

    assert first.queue == "default"
    ids = {open_package(each.payload, "default")["id"] for each in (first, second)}
    assert ids == {first.task_id}


def test_nothing_follows_a_failure_or_a_task_that_comes_back(q_cluster: Configure) -> None:
    assert prepare(failed(chain=_LINKS))[1].followers == ()

    q_cluster(ack_failures=False)
    outcome = failed(chain=_LINKS, chain_goes_on=True, gather=("x", 0))
    assert prepare(outcome, leased())[1].followers == ()
    assert prepare(outcome, leased())[1].part is None


@pytest.mark.parametrize("link", ["work", lambda: None, (), ("a.b", (tasks.Unpicklable(),))])
def test_a_link_that_cannot_be_packed_ends_the_chain_only(
    link: Any, caplog: pytest.LogCaptureFixture
) -> None:
    outcome, prepared = prepare(finished(chain=[link], group="g"))

    assert outcome.success
    assert prepared.followers == ()
    assert "cannot be packed, so it does not run" in caplog.text


# Where it ran.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="There are no forks.")
def test_a_forked_process_has_a_name_of_its_own() -> None:
    parent = worker_name()
    reader, writer = os.pipe()

    pid = os.fork()
    if pid == 0:
        os.write(writer, worker_name().encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        child = pipe.read()
    os.waitpid(pid, 0)

    assert parent == worker_name() == f"{socket.gethostname()[:80]}:{os.getpid()}"
    assert child == f"{socket.gethostname()[:80]}:{pid}"
