"""The scoreboard: what one process writes, another reads, whole or not at all."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from django_q.cluster.scoreboard import (
    Cause,
    Holdings,
    Mark,
    Obituary,
    Phase,
    Scoreboard,
    Slot,
    State,
)
from tests.waiting import wait_until


@pytest.fixture
def board() -> Scoreboard:
    return Scoreboard(multiprocessing.get_context("fork"), 3)


@pytest.fixture
def slot(board: Scoreboard) -> Slot:
    return board.slot(1)


def a_mark(name: str = "a-task", **values: Any) -> Mark:
    return Mark(Phase.RUNNING, "id:token", "q:id", 1.5, 6.5, "0" * 32, name, "app.work", **values)


# A value in two copies.


def spoil(board: Scoreboard, text: bytes, offset: int = 0) -> None:
    """Change a byte of what stands on the board with this text in it."""
    memory = board._view()
    memory[bytes(memory).index(text) + offset] ^= 0xFF


def test_nothing_written_reads_as_nothing(slot: Slot) -> None:
    assert slot.read_mark() is None
    assert slot.read_holdings() is None


@pytest.mark.parametrize(
    "mark", [a_mark(), a_mark("ü 😀"), Mark(Phase.OPENING, None, "", 0, 0), None]
)
def test_a_mark_is_read_as_it_was_written(slot: Slot, board: Scoreboard, mark: Any) -> None:
    slot.write_mark(a_mark("before"))

    slot.write_mark(mark)

    assert slot.read_mark() == board.slot(1).read_mark() == mark
    assert mark is None or isinstance(slot.read_mark().phase, Phase)  # type: ignore[union-attr]


def test_a_mark_is_written_without_a_pickle(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_q.plain_values.pickle.dumps", pytest.fail)

    slot.write_mark(a_mark())

    assert slot.read_mark() == a_mark()


def test_the_newest_mark_counts(slot: Slot) -> None:
    for number in range(100):
        slot.write_mark(a_mark(str(number)))
        assert (slot.read_mark() or a_mark()).name == str(number)


@pytest.mark.parametrize("offset", [-60, -20, 0, 4])
def test_a_torn_write_leaves_the_value_before(slot: Slot, board: Scoreboard, offset: int) -> None:
    slot.write_mark(a_mark("older"))
    slot.write_mark(a_mark("newer"))

    spoil(board, b"newer", offset)

    assert slot.read_mark() == a_mark("older")


def test_garbage_in_both_reads_as_nothing(slot: Slot, board: Scoreboard) -> None:
    slot.write_mark(a_mark("older"))
    slot.write_mark(a_mark("newer"))

    spoil(board, b"older")
    spoil(board, b"newer")

    assert slot.read_mark() is None


def test_another_writer_goes_on_where_the_first_was(slot: Slot, board: Scoreboard) -> None:
    for number in range(5):
        slot.write_mark(a_mark(str(number)))

    board.slot(1).write_mark(a_mark("next"))

    assert board.slot(1).read_mark() == a_mark("next")


# Slots.


def test_slots_do_not_touch_each_other(board: Scoreboard) -> None:
    first, second, third = board.slots()
    second.write_mark(a_mark())
    second.write_holdings(Holdings("holder", tuple(map(str, range(100)))))
    second.journal.append(b"x" * 1000)
    for field in ("pid", "state", "done", "rss", "recall"):
        second.set(field, -7)

    for other in (first, third):
        assert (other.read_mark(), other.read_holdings()) == (None, None)
        assert list(other.journal.read()) == []
        assert (other.get("pid"), other.get("recall"), other.beat) == (0, 0, 0.0)
    assert board.slot(1).read_mark() == a_mark()
    assert board.slot(1).get("done") == -7


def test_a_beat_is_a_moment(slot: Slot) -> None:
    slot.beat = 12345.678

    assert slot.beat == 12345.678


def test_some_hundred_receipts_fit(slot: Slot) -> None:
    ours = tuple(f"{n:032x}:{'0' * 12}.{'0' * 16}" for n in range(900))
    sqs = [f"{n:01024}" for n in range(90)]

    assert slot.write_holdings(Holdings("holder", ours))
    assert slot.write_holdings(Holdings("holder", tuple(sqs[:60])))
    assert not slot.write_holdings(Holdings("holder", tuple(sqs)))
    assert slot.read_holdings() == Holdings("holder", tuple(sqs[:60]))


def test_the_longest_mark_fits(slot: Slot) -> None:
    widest = Mark(Phase.SETTLING, "r" * 1100, "k" * 100, 1e9, 2e9, "i" * 32, "😀" * 100, "ü" * 256)

    slot.write_mark(widest)

    assert slot.read_mark() == widest


def test_a_cleared_slot_says_nothing(slot: Slot, board: Scoreboard) -> None:
    slot.write_mark(a_mark())
    slot.write_holdings(Holdings("holder", ("a",)))
    slot.journal.append(b"outcome")
    slot.write_obituary(Obituary(12, -9, Cause.NONE))

    slot.clear()

    again = board.slot(1)
    assert (again.read_mark(), again.read_holdings(), again.obituary) == (None, None, None)
    assert list(again.journal.read()) == []
    assert again.get("state") == State.FREE


def test_a_slot_is_buried_when_the_death_in_it_was(slot: Slot) -> None:
    assert not slot.is_buried

    slot.write_obituary(Obituary(12, -9, Cause.HARD_LIMIT))
    assert slot.obituary == Obituary(12, -9, Cause.HARD_LIMIT)
    slot.set("burial", 11)
    assert not slot.is_buried

    slot.set("burial", 12)
    assert slot.is_buried


@pytest.mark.parametrize(
    ("status", "cause", "text"),
    [
        (-9, Cause.NONE, "signal SIGKILL"),
        (-11, Cause.NONE, "signal SIGSEGV"),
        (-63, Cause.NONE, "signal 63"),
        (7, Cause.NONE, "exit code 7"),
        (0, Cause.NONE, "exit code 0"),
        (-9, Cause.HARD_LIMIT, "hard limit"),
    ],
)
def test_an_end_is_told_in_words(status: int, cause: Cause, text: str) -> None:
    assert Obituary(12, status, cause).how == text


# Processes.


def test_all_learn_that_the_cluster_stops(board: Scoreboard) -> None:
    assert not board.is_stopping

    board.say_stopping()

    assert board.is_stopping
    assert board.slots()[0].get("pid") == 0


def test_each_place_has_a_mark() -> None:
    board = Scoreboard(multiprocessing.get_context("fork"), 3, 40)
    slot = board.slot(1)
    widest = "r" * 1000
    marks = [a_mark(f"task-{n}")._replace(receipt=widest) for n in range(40)]
    for place, mark in enumerate(marks):
        slot.write_mark(mark, place)
    assert slot.write_holdings(Holdings("holder", tuple(widest + str(n) for n in range(60))))

    slot.write_mark(None, 1)

    assert board.slot(1).read_marks() == [marks[0], *marks[2:]]
    assert board.slot(1).read_mark() == marks[0]
    assert (board.slot(0).read_marks(), board.slot(2).read_marks()) == ([], [])
    slot.clear()
    assert board.slot(1).read_marks() == []


def _write_on(board: Scoreboard, index: int) -> None:
    slot = board.slot(index)
    number = 0
    while True:
        number += 1
        slot.write_mark(a_mark(name=f"{number}" * 10))
        slot.write_holdings(Holdings("holder", tuple(map(str, range(number % 300)))))
        slot.set("done", number)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_writer_killed_at_any_moment_leaves_something_whole(method: str) -> None:
    context = multiprocessing.get_context(method)
    board = Scoreboard(context, 2)
    for _ in range(5 if method == "fork" else 1):
        # A daemon: it writes for ever, and must not outlive a test that failed before the kill.
        writer = context.Process(target=_write_on, args=(board, 1), daemon=True)
        writer.start()
        wait_until(lambda: board.slot(1).get("done") > 20, 30.0, what="the writer")

        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()

        left = board.slot(1)
        assert left.read_mark() is not None
        assert left.read_holdings() is not None
        left.clear()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is given back on Linux")
def test_a_slot_that_was_cleared_takes_no_room() -> None:
    board = Scoreboard(multiprocessing.get_context("fork"), 40)
    slots = board.slots()
    before = _shared_memory()
    for slot in slots:
        while slot.journal.append(bytes(1000)) is not None:
            pass
    full = _shared_memory()

    for slot in slots:
        slot.clear()

    assert full - before > 40 * 200
    assert _shared_memory() - before < 40 * 20
    assert all(not list(slot.journal.read()) for slot in board.slots())


def _shared_memory() -> int:
    """Give the KB of shared memory that this process has in use."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssShmem"))
