"""A worker in this process: its main thread is the test's, its clerk is real."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q import signals
from django_q.cluster.scoreboard import Mark, Phase, State
from django_q.enqueue import async_task
from django_q.models import Rejected, Task
from django_q.package import build_package
from django_q.sealed import seal_package
from tests.site import tasks
from tests.site.tasks import RunsWhenOpened
from tests.unit.desk import Desk, quick_desk

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

#: What the tasks of these tests did, and the desk they run at.
_seen: list[Any] = []
_desks: list[Desk] = []


@pytest.fixture
def configure(q_cluster: Configure) -> Configure:
    """Function that sets `Q_CLUSTER`, with a broker that tasks are enqueued to by name only."""
    q_cluster(save_limit=0)
    return lambda **values: q_cluster(save_limit=0, **values)


@pytest.fixture
def desk(configure: Configure) -> Iterator[Desk]:
    _seen.clear()
    with quick_desk() as made:
        _desks.append(made)
        yield made
    _desks.clear()


def enqueue(desk: Desk, func: Any, *args: Any, **options: Any) -> str:
    return async_task(func, *args, broker=desk.broker, **options)


def results() -> dict[str, tuple[bool, Any]]:
    return {task.name: (task.success, task.result) for task in Task.objects.all()}


# Functions that look around.


def look() -> Mark | None:
    """Give what stands on the scoreboard while this runs."""
    slot = _desks[0].slot
    assert slot.get("state") == State.BUSY
    mark = slot.read_mark()
    return mark and mark._replace(phase=str(mark.phase))  # type: ignore[arg-type]


def note(value: Any) -> None:
    """Leave a trace."""
    _seen.append(value)


def note_task(task: Task) -> None:
    """As a hook, tell what is known of the task by then."""
    mark = _desks[0].slot.read_mark()
    kept = Task.objects.filter(pk=task.pk).exists()
    _seen.append((task.result, kept, mark and mark.phase, _desks[0].broker.lock_size()))


def terminate() -> str:
    """Be told to stop while running."""
    signal.raise_signal(signal.SIGTERM)
    time.sleep(0.05)
    return "finished all the same"


def turn_deaf() -> None:
    """Hear no signal any more."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _desks[0].board.say_stopping()


# The ordinary walk.


def test_tasks_are_run_recorded_and_gone(desk: Desk) -> None:
    ids = [enqueue(desk, tasks.add, n, n) for n in range(50)]

    desk.work()

    assert {task.pk: task.result for task in Task.objects.all()} == {
        ids[n]: 2 * n for n in range(50)
    }
    assert desk.slot.get("done") == 50
    assert desk.slot.get("state") == State.LEFT
    assert desk.slot.read_mark() is None


def test_bad_tasks_among_good_ones_only_fail(desk: Desk) -> None:
    bad: dict[str, Any] = {
        "raises": tasks.fail,
        "exits": tasks.leave,
        "is interrupted": tasks.interrupt,
        "is nowhere": "tests.site.tasks.missing",
        "gives a lambda": tasks.give_lambda,
        "gives a generator": tasks.give_generator,
        "fails later": tasks.fail_later,
        "is no function of ours": str.upper,
    }
    for name, func in bad.items():
        enqueue(desk, func, task_name=name)
        enqueue(desk, tasks.answer, task_name=f"after it {name}")

    desk.work()

    for name in bad:
        success, result = results()[name]
        assert not success and isinstance(result, str)
        assert results()[f"after it {name}"] == (True, 42)
    assert "could not be stored" in results()["gives a lambda"][1]
    assert "cannot be found" in results()["is nowhere"][1]


def test_what_runs_stands_on_the_scoreboard(desk: Desk) -> None:
    task_id = enqueue(desk, look, task_name="looks", timeout=3)

    desk.work()

    phase, receipt, key, since, until, *rest = results()["looks"][1]
    assert (phase, rest) == ("running", [task_id, "looks", f"{__name__}.look"])
    assert until - since == pytest.approx(3 + 5)
    assert receipt.startswith(key.removeprefix("default:"))


def test_a_package_is_opened_under_its_mark_only_where_it_may_run_code(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases: list[str] = []
    write = desk.slot.write_mark

    def noted(mark: Mark | None, place: int = 0) -> None:
        phases.append(str(mark and mark.phase))
        write(mark, place)

    monkeypatch.setattr(desk.slot, "write_mark", noted)
    enqueue(desk, f"{__name__}.note", "plain")
    enqueue(desk, note, RunsWhenOpened(look))

    desk.work()

    assert [phase for phase in phases if phase != "None"] == ["running", "opening", "running"]
    assert (_seen[0], _seen[1].phase) == ("plain", "opening")


def test_a_hook_comes_after_row_and_acknowledgement(desk: Desk) -> None:
    enqueue(desk, tasks.add, 1, 2, hook=note_task)

    desk.work(until=lambda: _seen)

    assert _seen == [(3, True, Phase.AFTER, 0)]


def test_hooks_that_fail_stop_nobody(desk: Desk) -> None:
    enqueue(desk, tasks.noop, hook="tests.site.tasks.failing_hook")
    enqueue(desk, tasks.noop, hook="tests.site.tasks.missing")
    enqueue(desk, note, "next")

    desk.work()

    assert _seen == ["next"]


def test_a_worker_says_when_it_has_spawned(desk: Desk) -> None:
    def receive(proc_name: str, **arguments: Any) -> None:
        _seen.append((proc_name, desk.clerk.is_alive()))

    signals.post_spawn.connect(receive)
    try:
        desk.work()
    finally:
        signals.post_spawn.disconnect(receive)

    assert _seen == [("worker-1", False)]


def test_a_task_beyond_its_limit_fails_and_the_worker_goes_on(desk: Desk) -> None:
    enqueue(desk, tasks.sleep, 60, timeout=0.1, task_name="long")
    enqueue(desk, tasks.busy, timeout=0.1, task_name="busy")
    enqueue(desk, note, "next")

    desk.work()

    assert _seen == ["next"]
    for name in ("long", "busy"):
        assert "longer than its limit of 0.1 s" in results()[name][1]


# What cannot be opened.


def test_foreign_and_damaged_packages_are_kept_and_never_run(desk: Desk) -> None:
    sealed = seal_package(build_package(note, ("run",), {}, {}), "default")
    payloads = ["junk", "", sealed[:-1], sealed + "x", "a:\0:b", "ü😀"]
    desk.broker.enqueue_many(payloads)
    enqueue(desk, note, "good")

    desk.work()

    assert _seen == ["good"]
    assert Rejected.objects.count() == len(payloads)
    assert Task.objects.count() == 1


class Hangs:
    """Takes for ever to be opened."""

    def __reduce__(self) -> Any:
        return time.sleep, (60,)


class Exits:
    """Ends the process when it is opened, unless somebody minds."""

    def __reduce__(self) -> Any:
        return tasks.leave, (3,)


@pytest.mark.parametrize(
    ("argument", "reason"), [(Hangs(), "longer than its limit"), (Exits(), "SystemExit")]
)
def test_a_package_that_misbehaves_while_it_is_opened_is_kept(
    desk: Desk, configure: Configure, argument: Any, reason: str
) -> None:
    configure(open_timeout=0.2)
    enqueue(desk, note, argument)
    enqueue(desk, note, "good")

    desk.work()

    assert _seen == ["good"]
    assert reason in Rejected.objects.get().reason


# The end.


def test_a_worker_told_to_stop_finishes_what_runs_and_gives_the_rest_back(desk: Desk) -> None:
    enqueue(desk, terminate, task_name="last")
    for _ in range(5):
        enqueue(desk, tasks.noop)

    desk.worker().run()

    assert results() == {"last": (True, "finished all the same")}
    assert (desk.broker.queue_size(), desk.broker.lock_size()) == (5, 0)
    assert all(lease.deliveries == 1 for lease in desk.broker.lease(10))


def test_a_worker_that_hears_no_signal_sees_that_the_cluster_stops(desk: Desk) -> None:
    enqueue(desk, turn_deaf)
    rescue = threading.Timer(10, desk.clerk.stop)
    rescue.start()

    desk.worker().run()

    assert rescue.is_alive()
    rescue.cancel()


def test_a_spent_worker_leaves_and_gives_the_rest_back(desk: Desk, configure: Configure) -> None:
    configure(recycle=7)
    for _ in range(20):
        enqueue(desk, tasks.noop)

    desk.worker().run()

    assert Task.objects.count() == 7
    assert (desk.broker.queue_size(), desk.broker.lock_size()) == (13, 0)


def test_a_worker_that_has_grown_too_large_leaves(desk: Desk, configure: Configure) -> None:
    configure(max_rss=1)
    for _ in range(3):
        enqueue(desk, tasks.noop)

    desk.worker().run()

    assert Task.objects.count() == 1
    assert desk.slot.get("rss") > 1000
