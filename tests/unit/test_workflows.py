"""Tasks that follow from others, made and sent: results handed on, callbacks, groups."""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from django_q import followers
from django_q.exceptions import PackageError
from django_q.models import Gathering, Task
from django_q.package import derived_id
from django_q.results import gatherings
from django_q.results.database import DatabaseStore
from django_q.sealed import open_package
from django_q.tasks import (
    Chain,
    FailedResult,
    async_chain,
    async_group,
    async_task,
    fetch,
    result,
    result_group,
)
from tests.unit.desk import Desk, quick_desk
from tests.unit.rows import make_row

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

_seen: list[Any] = []


@pytest.fixture
def desk(q_cluster: Configure) -> Iterator[Desk]:
    q_cluster()
    _seen.clear()
    with quick_desk() as made:
        yield made


def double(value: Any) -> Any:
    return value * 2


def fail(*args: Any) -> NoReturn:
    raise ValueError("on purpose")


def note(*args: Any, **kwargs: Any) -> Any:
    _seen.append((args, kwargs))
    return args[0] if args else None


# Chains.


def test_a_link_gets_the_result_of_the_one_before(desk: Desk) -> None:
    group = async_chain(
        [(double, (1,)), double, (note, ("own",))], pass_result=True, broker=desk.broker
    )

    desk.work()

    assert _seen == [((4, "own"), {})]
    assert sorted(result_group(group)) == [2, 4, 4]


def test_a_chain_that_goes_on_hands_the_error_on(desk: Desk) -> None:
    Chain([fail, note], goes_on=True, pass_result=True, broker=desk.broker).run()

    desk.work()

    (((error,), _),) = _seen
    assert isinstance(error, FailedResult)
    assert error.startswith("on purpose : Traceback")


def test_a_link_that_is_sent_again_gets_the_recorded_result(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It may have been sent, and comes late therefore.
    monkeypatch.setattr(followers, "_APART", 0.0)
    async_chain([(double, (4,)), note], pass_result=True, broker=desk.broker)
    (lease,) = desk.broker.lease()
    desk.broker.release([str(lease.receipt)], counted=True)
    task_id = open_package(lease.payload, "default")["id"]
    # Its first run was cut off before it sent what follows.
    DatabaseStore().save([make_row("recorded")._replace(id=task_id)])

    desk.work(until=lambda: _seen)

    assert _seen == [(("recorded",), {})]


def test_what_cannot_be_opened_is_handed_on_to_nobody(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async_chain([(double, (4,)), note], pass_result=True, broker=desk.broker)
    (lease,) = desk.broker.lease()
    desk.broker.release([str(lease.receipt)], counted=True)
    task_id = open_package(lease.payload, "default")["id"]
    DatabaseStore().save([make_row()._replace(id=task_id, result="bm8gcGlja2xl")])

    desk.work()

    assert _seen == []
    assert "cannot be opened, so what follows it is not sent again" in caplog.text


# Callbacks.


def test_the_end_of_a_task_is_told_to_who_asked(desk: Desk) -> None:
    tell = {"on_success": (note, ("more",), {"word": "yes"}), "on_failure": note}
    good = async_task(double, 3, broker=desk.broker, **tell)
    bad = async_task(fail, broker=desk.broker, **tell)

    desk.work()

    assert _seen[0] == ((6, "more"), {"word": "yes"})
    ((error,), _) = _seen[1]
    assert error.startswith("on purpose : Traceback")
    assert result(derived_id(good, "on_success")) == 6
    assert fetch(derived_id(bad, "on_failure")) is not None
    assert Task.objects.count() == 4


def test_a_callback_has_options_of_its_own(desk: Desk) -> None:
    task_id = async_task(
        double,
        3,
        on_success=("math.sqrt", (), {"q_options": {"task_name": "root", "group": "g"}}),
        broker=desk.broker,
    )

    desk.work()

    told = fetch(derived_id(task_id, "on_success"))
    assert told is not None
    assert (told.name, told.group, told.args) == ("root", "g", (6,))


def test_in_place_the_callback_runs_before_the_error_is_raised(desk: Desk) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        async_task(fail, on_failure=note, sync=True)

    assert len(_seen) == 1


@pytest.mark.parametrize("callback", ["work", (), (lambda: 1,), 5])
def test_a_callback_that_is_no_function_is_refused(callback: Any) -> None:
    with pytest.raises(PackageError, match="on_success is"):
        async_task(double, 3, on_success=callback)


def test_what_follows_has_to_run_and_is_not_unique(desk: Desk) -> None:
    with pytest.raises(PackageError, match="unique"):
        async_group([double], callback=("math.sqrt", (), {"q_options": {"unique": "x"}}))
    with pytest.raises(PackageError, match="unique"):
        async_group([("math.sqrt", (1,), {"q_options": {"unique": "x"}})])


# Groups.


def test_a_group_is_as_many_tasks(desk: Desk) -> None:
    group = async_group([(double, (n,)) for n in range(3)], group="doubles", broker=desk.broker)

    desk.work()

    assert (group, group.callback_id) == ("doubles", None)
    assert sorted(result_group(group)) == [0, 2, 4]
    assert not Gathering.objects.exists()


def test_a_callback_is_called_with_all_results(desk: Desk) -> None:
    group = async_group(
        [(double, (1,)), fail, (double, (2,))], callback=(note, ("more",)), broker=desk.broker
    )

    desk.work()

    (((values, more), _),) = _seen
    assert (values[0], values[2], more) == (2, 4, "more")
    assert isinstance(values[1], FailedResult)
    assert Task.objects.filter(group=group).count() == 3
    told = fetch(str(group.callback_id))
    assert told is not None
    assert told.func == f"{__name__}.note"


def test_a_group_in_place_ends_with_its_callback(desk: Desk) -> None:
    group = async_group([(double, (1,)), (double, (2,))], callback=note, sync=True)

    assert _seen == [(([2, 4],), {})]
    assert result(str(group.callback_id)) == [2, 4]


def test_of_two_who_see_the_end_one_sends(desk: Desk) -> None:
    gatherings.begin("1" * 32, "default", "payload", {})

    with gatherings.claimed("1" * 32) as first:
        pass
    with gatherings.claimed("1" * 32) as second:
        pass

    assert (first, second) == (True, False)


def test_a_gathering_that_could_not_be_sent_is_free_again(desk: Desk) -> None:
    gatherings.begin("1" * 32, "default", "payload", {})

    with pytest.raises(OSError), gatherings.claimed("1" * 32):
        raise OSError("away")

    with gatherings.claimed("1" * 32) as again:
        assert again


def test_a_group_says_what_is_no_option(desk: Desk, q_cluster: Configure) -> None:
    with pytest.raises(PackageError, match="'colour' is no option of a task"):
        async_group([double], colour="red")
    with pytest.raises(PackageError, match="An element of the group is 5"):
        async_group([5])
    with pytest.raises(PackageError, match="callback is 'work'"):
        async_group([double], callback="work")
    q_cluster(legacy="write")
    with pytest.raises(PackageError, match="knows no callback"):
        async_group([double], callback=note)
