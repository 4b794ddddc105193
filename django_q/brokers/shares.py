"""Shares the leases of a cluster out among its queues, by their weights. Pure."""

from collections.abc import Iterable, Mapping


class Shares:
    """Shares leases out by weight: each goes to the queue that is furthest behind.

    Weighted fair queueing (Demers, Keshav and Shenker, 1989), with packages of one length.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._steps = {queue: 1.0 / weight for queue, weight in weights.items()}
        #: How far each queue has come.
        self._at = dict.fromkeys(weights, 0.0)

    def of(self, limit: int) -> dict[str, int]:
        """Tell how many of so many leases each queue is due; those furthest behind first."""
        at, due = dict(self._at), dict.fromkeys(self._at, 0)
        for _ in range(limit):
            queue = min(at, key=lambda name: at[name] + self._steps[name])
            at[queue] += self._steps[queue]
            due[queue] += 1
        return dict(sorted(due.items(), key=lambda pair: self._at[pair[0]] + self._steps[pair[0]]))

    def take(self, queue: str, count: int) -> list[float]:
        """Note that a queue lent so many; gives the place of each among all others."""
        begin, step = self._at[queue], self._steps[queue]
        self._at[queue] = begin + count * step
        return [begin + number * step for number in range(1, count + 1)]

    def forget_credit(self, empty: Iterable[str]) -> None:
        """Let queues that have nothing to lend save nothing up for later."""
        furthest = max(self._at.values())
        for queue in empty:
            self._at[queue] = furthest
        least = min(self._at.values())
        self._at = {queue: at - least for queue, at in self._at.items()}
