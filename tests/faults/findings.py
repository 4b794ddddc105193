"""What a scenario found: figures, and which of them are not as promised."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass
class Findings:
    """The figures of one scenario on one broker with one seed, in the order they were found."""

    scenario: str
    broker: str
    seed: int
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: The figure as a person reads it.
    texts: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)

    def exactly(self, name: str, value: Any, wanted: Any) -> None:
        """Note a figure that has one right value."""
        self._note(name, value, f"{name} {value}")
        if value != wanted:
            self.failures.append(f"{name} is {value}, not {wanted}")

    def at_most(self, name: str, value: float, limit: float, unit: str = "") -> None:
        """Note a figure that has an upper limit."""
        shown = f"{value:.2f}{unit}" if isinstance(value, float) else f"{value}{unit}"
        self._note(name, value, f"{name} {shown} (<= {limit:g})")
        if value > limit:
            self.failures.append(f"{name} is {shown}, more than {limit:g}")

    def spread(self, name: str, values: Sequence[float], limit: float) -> None:
        """Note median and largest of some times in seconds; the largest has a limit."""
        if not values:
            self.failures.append(f"{name}: nothing was measured")
            return
        middle, largest = statistics.median(values), max(values)
        self._note(name, [middle, largest], f"{name} p50/p100 {middle:.2f}/{largest:.2f} s")
        if largest > limit:
            self.failures.append(f"{name} took {largest:.2f} s, more than {limit:g} s")

    def holds(self, name: str, is_so: bool, otherwise: str = "") -> None:
        """Note something that is so, or not."""
        self._note(name, is_so, name if is_so else f"NOT {name}")
        if not is_so:
            self.failures.append(otherwise or f"not {name}")

    @property
    def line(self) -> str:
        """All of it in one line."""
        head = f"{self.scenario} {self.broker} seed {self.seed}"
        return f"{head}: {', '.join(self.texts)}"

    def _note(self, name: str, value: Any, text: str) -> None:
        self.facts[name] = value
        self.texts.append(text)
