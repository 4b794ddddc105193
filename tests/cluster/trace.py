"""What the tasks of a test leave behind."""

import collections
from pathlib import Path

from tests.waiting import LIMIT, wait_until


class Trace:
    """The file that `tests.site.tasks.record` and `hold` write into."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def lines(self, word: str) -> list[list[str]]:
        """Token and pid of all that started ("start") or ended ("end"), in order."""
        try:
            text = Path(self.path).read_text()
        except FileNotFoundError:
            return []
        # What stands behind the last line feed is being written.
        lines = [line.split() for line in text.split("\n")[:-1]]
        return [line[1:] for line in lines if line[0] == word]

    def started(self) -> collections.Counter[str]:
        """How often each token started."""
        return collections.Counter(token for token, _ in self.lines("start"))

    def ended(self) -> collections.Counter[str]:
        """How often each token ended."""
        return collections.Counter(token for token, _ in self.lines("end"))

    def wait_start(self, token: object, times: int = 1, limit: float = LIMIT) -> int:
        """Wait until a token has started so often; the pid that started it last."""
        what = f"start {times} of {token}"
        wait_until(lambda: self.started()[str(token)] >= times, limit, what=what)
        return int([pid for name, pid in self.lines("start") if name == str(token)][-1])

    def wait_ends(self, count: int, limit: float = LIMIT) -> None:
        """Wait until so many different tokens have ended."""
        wait_until(lambda: len(self.ended()) >= count, limit, what=f"{count} ends")

    def newest_pid(self) -> int:
        """The worker that wrote last."""
        lines = self.lines("start")
        return int(lines[-1][1])
