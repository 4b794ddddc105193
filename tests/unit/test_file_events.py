"""What the kernel tells of a file that is written to."""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_q.brokers import file_events
from django_q.brokers.file_events import FileEvents

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose name is no UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xfcr"))
    path.write_text("something")
    return path


@pytest.fixture
def events(file: Path) -> Iterator[FileEvents]:
    """A watch of it."""
    events = FileEvents(os.fsencode(file))
    yield events
    events.close()


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@on_linux
def test_what_was_written_is_told_once(file: Path, events: FileEvents) -> None:
    for _ in range(3):
        file.write_text("something else")

    assert events.wait(10)
    assert not events.wait(0)


@on_linux
def test_reading_and_other_files_are_not_told(file: Path, events: FileEvents) -> None:
    file.read_text()
    file.with_name("another").write_text("something")

    assert not events.wait(0.01)


@on_linux
def test_more_than_is_read_at_once_is_told_the_next_time(
    file: Path, events: FileEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_events, "_ROOM", 16)
    file.write_text("something else")
    file.unlink()

    assert events.wait(10)
    assert not events.is_over
    assert events.wait(10)
    assert events.is_over


@on_linux
def test_a_file_that_was_made_anew_is_another(file: Path, events: FileEvents) -> None:
    file.unlink()
    file.write_text("something else")

    assert events.wait(10)
    assert events.is_over
    assert not events.wait(0)


@on_linux
def test_its_descriptor_goes_with_it(file: Path) -> None:
    before = _descriptors()

    events = FileEvents(os.fsencode(file))
    assert len(_descriptors()) == len(before) + 1
    events.close()
    events.close()
    assert _descriptors() == before

    events = FileEvents(os.fsencode(file))
    del events
    assert _descriptors() == before


@on_linux
def test_a_file_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    before = _descriptors()

    with pytest.raises(FileNotFoundError):
        FileEvents(os.fsencode(tmp_path / "nothing"))

    assert _descriptors() == before


@on_linux
def test_where_the_machine_allows_no_more_that_is_told(file: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(file, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            FileEvents(os.fsencode(file))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_on_other_systems_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(OSError, match="Linux"):
        FileEvents(b"anything")
