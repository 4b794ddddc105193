"""Chains and iterations, in place: what belongs to a link, to an element, and to the whole."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from django_q.exceptions import PackageError
from django_q.followers import first_link
from django_q.models import Task
from django_q.tasks import (
    AsyncTask,
    Chain,
    Iter,
    async_chain,
    async_iter,
    async_task,
    result,
    result_group,
)

ECHO = "tests.site.tasks.echo"


@pytest.fixture
def in_place(database: str, q_cluster: Callable[..., Any]) -> None:
    """Tasks run where they are called."""
    q_cluster(orm=database, sync=True)


# Chains.


@pytest.mark.usefixtures("in_place")
def test_options_of_a_link_are_that_links_alone() -> None:
    own = {"task_name": "mine", "save": False, "x": 1}
    group = async_chain([(ECHO, (1,), {"task_name": "first"}), (ECHO, (2,), own), (ECHO, (3,))])

    tasks = {task.args: task for task in Task.objects.filter(group=group)}
    assert set(tasks) == {(1,), (3,)}  # the second was not to be saved
    assert tasks[1,].name == "first" != tasks[3,].name


@pytest.mark.usefixtures("database")
def test_options_of_a_link_may_be_keywords_or_in_q_options() -> None:
    keywords = {"timeout": 5, "group": "its own", "hook": ECHO, "q_options": {"save": False}}
    package = first_link([(ECHO, (), {**keywords, "x": 1}), ECHO], {"group": "the chain's"})

    assert package["kwargs"] == {"x": 1}
    assert (package["timeout"], package["hook"], package["save"]) == (5, ECHO, False)
    assert package["group"] == "the chain's"
    package = first_link([(ECHO, (), {"q_options": {"group": "g"}})], {"group": "the chain's"})
    assert package["group"] == "g"
    with pytest.raises(PackageError, match="q_options is 5"):
        first_link([(ECHO, (), {"q_options": 5})], {})


@pytest.mark.usefixtures("in_place")
def test_the_list_of_a_chain_stays_as_it_was() -> None:
    links = [(ECHO, (1,), {"task_name": "first"}), ECHO]

    async_chain(links)

    assert links == [(ECHO, (1,), {"task_name": "first"}), ECHO]


@pytest.mark.usefixtures("in_place")
def test_an_empty_chain_sends_nothing() -> None:
    assert async_chain([], group="nothing") == "nothing"
    assert not Task.objects.exists()


@pytest.mark.usefixtures("in_place")
def test_a_chain_that_grows_takes_its_old_results_out_of_the_group() -> None:
    chain = Chain()
    chain.append(ECHO, 1)
    group = chain.run()

    assert chain.append(ECHO, 2, task_name="second") == 2

    assert not result_group(group)
    assert Task.objects.count() == 1  # they are somebody's results
    assert chain.run() == group
    assert chain.result() is not None and len(chain.result()) == 2
    assert Task.objects.get(name="second").args == (2,)


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.usefixtures("in_place")
def test_nobody_waits_for_the_links_behind_a_failure(goes_on: bool) -> None:
    async_task(ECHO, 1, group="g")
    with pytest.raises(ValueError, match="on purpose"):
        async_task("tests.site.tasks.fail", group="g")
    chain = Chain([ECHO, "tests.site.tasks.fail", ECHO], "g", goes_on=goes_on)
    chain.started = True

    began = time.monotonic()
    tasks = chain.fetch(wait=100 if goes_on else 60_000)

    took = time.monotonic() - began
    assert took >= 0.1 if goes_on else took < 30
    assert [task.success for task in tasks] == [False, True]
    assert list(chain.result(wait=1)) == [((1,), {})]


# Iterations.


@pytest.mark.usefixtures("in_place")
def test_what_is_appended_at_once_is_one_call() -> None:
    iteration = Iter(ECHO)
    for arguments in ((1, 2), ((3, 4),), (5,)):
        iteration.append(*arguments)

    iteration.run()

    assert [args for args, _ in iteration.result()] == [(1, 2), ((3, 4),), (5,)]


@pytest.mark.usefixtures("in_place")
def test_a_keyword_named_as_an_option_of_the_iteration_is_the_functions() -> None:
    options = {"group": "of the whole", "timeout": 5}
    iteration = async_iter(ECHO, [1, 2], group="theirs", timeout=9, q_options=options)

    assert [kwargs for _, kwargs in result(iteration)] == [{"group": "theirs", "timeout": 9}] * 2
    assert Task.objects.get(pk=iteration).group == "of the whole"


@pytest.mark.usefixtures("in_place")
def test_an_iteration_of_nothing_completes() -> None:
    assert result(async_iter(ECHO, [])) == []
    assert result(async_iter(ECHO, iter(()))) == []


# One task as an object.


@pytest.mark.usefixtures("in_place")
def test_an_option_is_set_where_the_options_stand() -> None:
    plain, inner = AsyncTask(ECHO, 1), AsyncTask(ECHO, 1, group="x", q_options={"save": True})

    plain.group = inner.group = "g"

    for task in (plain, inner):
        task.run()

    assert plain.result() == ((1,), {})
    assert inner.result() == ((1,), {"group": "x"})
    assert len(result_group("g")) == 2
