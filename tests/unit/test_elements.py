"""What is to follow a task is looked at before anything is sent, whichever way it is."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers.memory import Memory
from django_q.elements import foreseen
from django_q.exceptions import PackageError
from django_q.models import Gathering, Schedule, Tracked
from django_q.package import build_package
from django_q.scheduler import Scheduler
from django_q.tasks import async_chain, async_group, async_iter, async_task, async_tasks, schedule

pytestmark = pytest.mark.usefixtures("settings")
NOOP = "tests.site.tasks.noop"
ADD = "tests.site.tasks.add"

Send = Callable[..., Any]


class Plain(Memory):
    """Knows no priorities."""

    can_prioritise = False


@pytest.fixture
def settings(database: str, q_cluster: Callable[..., Any]) -> None:
    q_cluster()


@pytest.fixture
def broker() -> Memory:
    return Memory()


def in_a_chain(element: Any, **options: Any) -> Any:
    return async_chain([NOOP, element, ADD], **options)


def as_a_first_link(element: Any, **options: Any) -> Any:
    return async_chain([element, ADD], **options)


def as_an_option(element: Any, **options: Any) -> Any:
    return async_task(NOOP, chain=[element], **options)


def after_a_success(element: Any, **options: Any) -> Any:
    return async_task(NOOP, q_options={"on_success": element}, **options)


def after_a_failure_of_many(element: Any, **options: Any) -> Any:
    return async_tasks(NOOP, [1, 2], on_failure=element, **options)


def after_a_link(element: Any, **options: Any) -> Any:
    return async_chain([NOOP, (ADD, (), {"q_options": {"on_timeout": element}})], **options)


def after_a_group(element: Any, **options: Any) -> Any:
    return async_group([NOOP, NOOP], element, **options)


def in_a_group(element: Any, **options: Any) -> Any:
    return async_group([(NOOP, (), {"on_success": element})], **options)


def after_an_iteration(element: Any, **options: Any) -> Any:
    return async_iter(NOOP, [1, 2], on_success=element, **options)


DOORS = {
    in_a_chain: r"Link 2 of the chain \(tests.site.tasks.add\): ",
    as_a_first_link: r"Link 1 of the chain \(tests.site.tasks.add\): ",
    as_an_option: r"Link 2 of the chain \(tests.site.tasks.add\): ",
    after_a_success: r"on_success \(tests.site.tasks.add\): ",
    after_a_failure_of_many: r"on_failure \(tests.site.tasks.add\): ",
    after_a_link: r"Link 2 of the chain \(.*\): on_timeout \(tests.site.tasks.add\): ",
    after_a_group: r"callback \(tests.site.tasks.add\): ",
    in_a_group: r"An element of the group \(.*\): on_success \(tests.site.tasks.add\): ",
    after_an_iteration: r"on_success \(tests.site.tasks.add\): ",
}
doors = pytest.mark.parametrize(("send", "name"), DOORS.items(), ids=[f.__name__ for f in DOORS])


@doors
@pytest.mark.parametrize("place", ["keyword", "q_options"])
def test_a_wrong_option_of_what_follows_is_told_at_once(
    broker: Memory, send: Send, name: str, place: str
) -> None:
    wrong: Any = {"priority": 500}
    element = (ADD, (1, 2), wrong if place == "keyword" else {"q_options": wrong})

    with pytest.raises(PackageError, match=rf"^{name}priority is 500"):
        send(element, broker=broker)

    assert broker.queue_size() == 0
    assert not Gathering.objects.exists() and not Tracked.objects.exists()


@doors
def test_a_right_one_is_sent(broker: Memory, send: Send, name: str) -> None:
    send((ADD, (1, 2), {"priority": 50, "q_options": {"rate_limit": "10/m"}}), broker=broker)

    assert broker.queue_size() > 0


@doors
def test_what_the_broker_cannot_do_is_told_at_once(send: Send, name: str) -> None:
    broker = Plain()

    # The task that is sent itself needs no name.
    name = name.removeprefix(DOORS[as_a_first_link]).removeprefix(
        r"An element of the group \(.*\): "
    )
    with pytest.raises(PackageError, match=rf"^{name}priority is 5, and the broker Plain"):
        send((ADD, (1, 2), {"priority": 5}), broker=broker)

    assert broker.queue_size() == 0


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ((ADD, (), {"timeout": "long"}), "timeout is 'long'"),
        ((ADD, (), {"rate_limit": "often"}), "rate_limit is 'often'"),
        ((ADD, (), {"unique": True}), "unique is True"),
        ((ADD, (), {"q_options": {"delay": -1}}), "delay is -1"),
        ((ADD, (), {"q_options": 5}), "q_options is 5"),
        ((ADD, (), {"retry_delay": 5}), "retry_delay is 5, but the task is not retried"),
        ((ADD, (), 5), "keywords are 5"),
        (lambda: None, "a worker finds functions by name"),
        ("nonsense", "func is 'nonsense'"),
        ((), r"func is \(\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_whatever_is_wrong_of_it(broker: Memory, element: Any, text: str) -> None:
    with pytest.raises(PackageError, match=rf"^Link 2 of the chain .*{text}"):
        async_chain([NOOP, element], broker=broker)

    assert broker.queue_size() == 0


def test_in_place_too() -> None:
    with pytest.raises(PackageError, match="Link 2 of the chain"):
        async_chain([NOOP, (ADD, (1, 2), {"priority": 500})], sync=True)


def test_a_chain_has_to_be_a_list(broker: Memory) -> None:
    with pytest.raises(PackageError, match="chain is 5: give a list"):
        async_task(NOOP, chain=5, broker=broker)


def test_unknown_options_of_links_are_told_as_those_of_the_first(
    broker: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    async_chain([NOOP, (ADD, (1, 2), {"q_options": {"time_out": 5}})], broker=broker)

    assert "unknown option 'time_out'" in caplog.text


def test_a_schedule_is_told_when_it_is_planned() -> None:
    chain = [NOOP, (ADD, (1, 2), {"priority": 500})]

    with pytest.raises(PackageError, match="Link 3 of the chain.*priority is 500"):
        schedule(NOOP, q_options={"chain": chain})

    assert not Schedule.objects.exists()


def test_a_schedule_that_was_written_by_hand_is_disabled(broker: Memory) -> None:
    wrong = "{'q_options': {'on_success': ('tests.site.tasks.add', (), {'priority': 500})}}"
    Schedule.objects.create(func=NOOP, kwargs=wrong)

    assert Scheduler(broker).run_due() == 0

    row = Schedule.objects.get()
    assert not row.enabled
    assert "on_success (tests.site.tasks.add): priority is 500" in str(row.error)


def test_what_follows_has_the_names_of_all_that_leads_to_it() -> None:
    last = (ADD, (), {"q_options": {"on_failure": NOOP}})
    options = {"on_success": (ADD, (), {"on_timeout": last})}

    names = [name for name, _ in foreseen(build_package(NOOP, (), {}, options))]

    assert [name.count(": ") for name in names] == [0, 1, 2]
    assert names[2].endswith(f"on_timeout ({ADD}): on_failure ({NOOP})")
