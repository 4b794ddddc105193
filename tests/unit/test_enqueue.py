"""Handing work over: what reaches the broker, and what is refused at the call."""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from django_q import signals
from django_q.brokers import shared_broker
from django_q.brokers.memory import Memory
from django_q.enqueue import async_task, async_tasks
from django_q.exceptions import BrokerUnavailable, PackageError, PayloadTooLarge
from django_q.package import TaskPackage
from django_q.sealed import open_package
from tests.site import tasks

Configure = Callable[..., Any]


@pytest.fixture
def memory(q_cluster: Configure) -> Configure:
    """Function that sets `Q_CLUSTER`, always with the broker in memory."""

    def configure(**values: Any) -> None:
        q_cluster(broker_class="django_q.brokers.memory.Memory", **values)

    configure()
    return configure


def sent(queue: str | None = None, broker: Any = None) -> list[TaskPackage]:
    """Take all packages out of a queue, opened."""
    broker = broker or shared_broker(queue)
    leases = broker.lease(10_000)
    broker.acknowledge_many([lease.receipt for lease in leases])
    return [open_package(lease.payload, broker.list_key) for lease in leases]


# One task.


@pytest.mark.usefixtures("memory")
def test_a_task_reaches_the_queue_with_its_arguments() -> None:
    task_id = async_task("tests.site.tasks.echo", 1, "ü\0", three={"four": 4})

    (package,) = sent()
    assert package["id"] == task_id
    assert package["func"] == "tests.site.tasks.echo"
    assert (package["args"], package["kwargs"]) == ((1, "ü\0"), {"three": {"four": 4}})


@pytest.mark.usefixtures("memory")
def test_a_function_may_be_given_itself() -> None:
    async_task(tasks.noop)

    assert sent()[0]["func"] is tasks.noop


@pytest.mark.usefixtures("memory")
def test_options_are_the_tasks_and_the_rest_is_the_functions() -> None:
    options: dict[str, Any] = {"task_name": "mine", "group": "g", "timeout": 5, "save": False}

    async_task(tasks.noop, hook=tasks.write_hook, color="red", **options)

    (package,) = sent()
    assert package["kwargs"] == {"color": "red"}
    assert (package["name"], package["group"], package["timeout"]) == ("mine", "g", 5)
    assert (package["save"], package["hook"]) == (False, tasks.write_hook)


@pytest.mark.usefixtures("memory")
def test_q_options_win_and_leave_the_keyword_to_the_function() -> None:
    async_task(tasks.noop, group="outer", timeout=5, q_options={"group": "inner"})

    (package,) = sent()
    assert (package["group"], package["timeout"]) == ("inner", 5)
    assert package["kwargs"] == {"group": "outer"}


@pytest.mark.usefixtures("memory")
def test_the_old_word_for_a_cluster_is_taken_in_q_options() -> None:
    async_task(tasks.noop, q_options={"broker_name": "mails"})
    async_task(tasks.noop, q_options={"broker_name": "letters", "cluster": "mails"})

    assert sent() == []
    assert [package["cluster"] for package in sent("mails")] == ["mails", "mails"]


@pytest.mark.usefixtures("memory")
def test_a_name_by_keyword_wins_over_q_options() -> None:
    async_task(tasks.noop, task_name="outer", q_options={"task_name": "inner"})

    assert sent()[0]["name"] == "outer"


@pytest.mark.usefixtures("memory")
def test_options_of_none_say_nothing_but_a_timeout_of_none_does() -> None:
    async_task(tasks.noop, group=None, save=None, hook=None, timeout=None, q_options=None)

    (package,) = sent()
    assert "group" not in package and "save" not in package and "hook" not in package
    assert package["timeout"] is None


def test_what_the_producers_settings_say_travels_along(memory: Configure) -> None:
    memory(cached=60, ack_failures=True)

    async_task(tasks.noop)
    async_task(tasks.noop, cached=False, ack_failure=False)

    first, second = sent()
    assert (first["cached"], first["ack_failure"]) == (60, True)
    assert (second["cached"], second["ack_failure"]) == (False, False)


@pytest.mark.usefixtures("memory")
def test_a_task_goes_to_the_cluster_it_names() -> None:
    async_task(tasks.noop, cluster="mails")

    assert sent() == []
    assert sent("mails")[0]["cluster"] == "mails"


@pytest.mark.usefixtures("memory")
def test_a_task_goes_to_the_broker_it_is_given() -> None:
    broker = Memory("elsewhere")

    async_task(tasks.noop, broker=broker, cluster="mails")
    async_task(tasks.noop, q_options={"broker": broker})

    packages = sent(broker=broker)
    assert len(packages) == 2
    assert "broker" not in packages[0]


@pytest.mark.usefixtures("memory")
def test_ten_megabytes_reach_the_queue() -> None:
    async_task(tasks.echo, bytes(10 * 2**20))

    assert len(sent()[0]["args"][0]) == 10 * 2**20


# What is refused, before anything is sent.


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("func", "args", "options", "reason"),
    [
        (tasks.echo, (1, tasks.Unpicklable()), {}, r"argument 2 \(Unpicklable .*cannot be pickled"),
        (lambda: None, (), {}, "a lambda or a function inside another"),
        ("noop", (), {}, "dotted path"),
        (None, (), {}, "give a function"),
        (tasks.noop, (), {"task_name": "x" * 101}, "101 characters"),
        (tasks.noop, (), {"group": "a\0"}, "without NUL"),
        (tasks.noop, (), {"timeout": "soon"}, "timeout is 'soon'"),
        (tasks.noop, (), {"q_options": "group"}, "q_options is 'group': give a dict"),
        (tasks.noop, (), {"hook": lambda task: None}, "hook is"),
    ],
)
def test_what_cannot_be_packed_is_told_at_the_call(
    func: Any, args: Any, options: Any, reason: str
) -> None:
    with pytest.raises(PackageError, match=reason):
        async_task(func, *args, **options)

    assert sent() == []


@pytest.mark.usefixtures("memory")
def test_an_unknown_option_is_told_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async_task(tasks.noop, q_options={"gruop": "g", "group": "right"})

    assert "unknown option 'gruop'" in caplog.text
    assert sent()[0]["group"] == "right"


def test_more_than_workers_open_is_refused(memory: Configure) -> None:
    memory(max_package=4096)

    with pytest.raises(PayloadTooLarge, match="max_package"):
        async_task(tasks.echo, bytes(10_000))


@pytest.mark.usefixtures("memory")
def test_a_broker_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> NoReturn:
        raise BrokerUnavailable("Redis at host:1 cannot be reached")

    monkeypatch.setattr(Memory, "enqueue_many", away)

    with pytest.raises(BrokerUnavailable, match="host:1"):
        async_task(tasks.noop)


# Receivers.


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """A receiver of `pre_enqueue`: a name for every task, and a line for its queue."""

    def receive(sender: str, task: TaskPackage, **arguments: Any) -> None:
        task["name"] = f"seen by {sender}"
        task["cluster"] = "mails"

    signals.pre_enqueue.connect(receive)
    yield receive
    signals.pre_enqueue.disconnect(receive)


@pytest.mark.usefixtures("memory", "receiver")
def test_a_receiver_may_change_the_package() -> None:
    async_task(tasks.noop)

    assert sent("mails")[0]["name"] == "seen by django_q"


@pytest.mark.usefixtures("memory")
def test_a_receiver_that_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(**arguments: Any) -> NoReturn:
        raise LookupError("receiver")

    signals.pre_enqueue.connect(fail)
    try:
        async_task(tasks.noop)
    finally:
        signals.pre_enqueue.disconnect(fail)

    assert len(sent()) == 1
    assert "fail raised" in caplog.text


# Many tasks.


@pytest.mark.usefixtures("memory")
def test_one_task_is_made_of_each_element() -> None:
    ids = async_tasks(tasks.echo, [(1, 2), "ab", [3], None, ()], group="g", color="red")

    packages = sent()
    assert [package["id"] for package in packages] == ids
    arguments = [package["args"] for package in packages]
    assert arguments == [(1, 2), ("ab",), ([3],), (None,), ()]
    assert {package["group"] for package in packages} == {"g"}
    assert [package["kwargs"] for package in packages] == [{"color": "red"}] * 5


@pytest.mark.usefixtures("memory")
def test_many_tasks_go_in_few_calls_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    enqueue_many = Memory.enqueue_many

    def count(self: Memory, batch: Any, **kwargs: Any) -> list[str]:
        calls.append(len(batch))
        return enqueue_many(self, batch, **kwargs)

    monkeypatch.setattr(Memory, "enqueue_many", count)

    ids = async_tasks(tasks.echo, (n for n in range(1100)))

    assert calls == [500, 500, 100]
    assert [package["id"] for package in sent()] == ids
    assert len(set(ids)) == 1100


@pytest.mark.usefixtures("memory")
def test_no_elements_are_no_tasks() -> None:
    assert async_tasks(tasks.echo, []) == []
    assert sent() == []
