"""A broker that keeps each package as a file, in a folder that all machines share."""

import contextlib
import time
import uuid
from pathlib import Path

from django.conf import settings

from django_q.brokers import Broker
from django_q.conf import Conf


class Spool(Broker):
    """Files in `waiting` are named by when they came, those in `leased` also by when they lapse.

    Moving a file within a file system happens at once and for one process only, and that is all
    the locking there is.
    """

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self.folder = Path(settings.SPOOL_FOLDER) / self.list_key
        self.waiting, self.leased = self.folder / "waiting", self.folder / "leased"
        for folder in (self.waiting, self.leased):
            folder.mkdir(parents=True, exist_ok=True)

    def enqueue(self, task: str) -> str:
        """Write the file under a name that nobody looks at, then move it."""
        name = f"{time.time_ns():020}-{uuid.uuid4().hex}"
        draft = self.folder / name
        draft.write_bytes(task.encode())
        draft.rename(self.waiting / name)
        return name

    def dequeue(self) -> list[tuple[str, str]]:
        """Lend the oldest package: a list of one pair, its receipt and its text."""
        self._take_back()
        for path in sorted(self.waiting.iterdir()):
            lease = self.leased / f"{time.time() + Conf.RETRY:.6f}_{path.name}"
            try:
                path.rename(lease)
            except FileNotFoundError:
                continue  # another worker was faster
            return [(lease.name, lease.read_bytes().decode())]
        return []

    def acknowledge(self, task_id: str) -> None:
        """Delete the file; one that lapsed meanwhile has another name, and stays."""
        (self.leased / task_id).unlink(missing_ok=True)

    def purge_queue(self) -> None:
        """Delete all files."""
        for path in [*self.waiting.iterdir(), *self.leased.iterdir()]:
            path.unlink(missing_ok=True)

    def queue_size(self) -> int:
        """Count what waits."""
        self._take_back()
        return sum(1 for _ in self.waiting.iterdir())

    def lock_size(self) -> int:
        """Count what is leased."""
        self._take_back()
        return sum(1 for _ in self.leased.iterdir())

    def _take_back(self) -> None:
        """Move lapsed packages back to those that wait."""
        for path in self.leased.iterdir():
            until, _, name = path.name.partition("_")
            if float(until) <= time.time():
                with contextlib.suppress(FileNotFoundError):
                    path.rename(self.waiting / name)
