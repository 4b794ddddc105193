"""How far a survey is, as plain numbers for the page and for the terminal."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a survey is: tasks in all, tasks that ended, failed ones among them, seconds."""

    total: int
    ended: int
    failed: int
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether every task has ended."""
        return self.ended >= self.total
