"""Texts for terminals: as wide as they are shown, however long they are."""

import pytest

from django_q.monitor import text


@pytest.mark.parametrize(
    ("given", "width", "cut"),
    [
        ("short", 10, "short"),
        ("exactly ten", 11, "exactly ten"),
        ("much too long", 8, "much t.."),
        ("队列中的任务", 12, "队列中的任务"),
        ("队列中的任务", 7, "队列.."),
        ("a\nb\x1b[2Jc", 20, "a?b?[2Jc"),
    ],
)
def test_a_text_is_cut_to_the_columns_it_takes(given: str, width: int, cut: str) -> None:
    assert text.cut(given, width) == cut
    assert text.text_width(cut) <= width


def test_of_a_path_the_beginning_is_cut() -> None:
    assert text.cut_start("shop.orders.tasks.ship", 12) == "..tasks.ship"
    assert text.cut_start("short", 12) == "short"


def test_a_text_is_filled_to_its_columns() -> None:
    assert text.fill("ab", 4) == "ab  "
    assert text.fill("任务", 6) == "任务  "
    assert text.fill("任务", 6, right=True) == "  任务"
    assert text.fill("toolong", 4) == "to.."


def test_a_table_is_flush_and_cut() -> None:
    lines = list(
        text.table(["Name", "N"], [["abcdefgh", "1"], ["a", "22"]], widths=(6, 3), right={1})
    )

    assert lines == ["Name     N", "abcd..   1", "a       22"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"), (-1, "0 ms"), (0.0124, "12 ms"), (1.5, "1.5 s"), (42.3, "42 s"),
        (60, "1 min"), (3_599, "59 min"), (3_600, "1h 0m"), (100_000, "1d 3h"),
    ],
)  # fmt: skip
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert text.duration_text(seconds) == said


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 KiB"), (2**10, "1 KiB"), (999 * 2**10, "999 KiB"), (1000 * 2**10, "1.0 MiB"),
        (12 * 2**20, "12 MiB"), (1.5 * 2**30, "1.5 GiB"), (2**41, "2.0 TiB"),
    ],
)  # fmt: skip
def test_sizes_are_said_as_people_do(size: float, said: str) -> None:
    assert text.size_text(size) == said
