"""What a scenario found: figures, and which of them are not as promised."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

#: The system that is tried, unless another one is named.
OURS = "django-q3"
#: The one that it is compared with.
OTHER = "django-q2"


@dataclasses.dataclass
class Findings:
    """The figures of one scenario on one broker with one seed, in the order they were found."""

    scenario: str
    broker: str
    seed: int
    #: Whose cluster was tried: ours, or the one we compare with.
    system: str = OURS
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: Name of a figure -> the figure as a person reads it.
    texts: dict[str, str] = dataclasses.field(default_factory=dict)
    failures: list[str] = dataclasses.field(default_factory=list)
    #: Where the record of a run that failed is kept.
    record: str = ""
    #: Seconds that the run took, and the machine's load in its last minute.
    took: float = 0.0
    load: float = 0.0

    def exactly(self, name: str, value: Any, wanted: Any) -> None:
        """Note a figure that has one right value."""
        self._note(name, value, f"{name} {value}")
        if value != wanted:
            self.failures.append(f"{name} is {value}, not {wanted}")

    def at_most(self, name: str, value: float, limit: float, unit: str = "") -> None:
        """Note a figure that has an upper limit."""
        self._note(name, value, f"{name} {_shown(value, unit)} (<= {_bound(limit)})")
        if value > limit:
            self.failures.append(f"{name} is {_shown(value, unit)}, more than {_bound(limit)}")

    def at_least(self, name: str, value: float, limit: float, unit: str = "") -> None:
        """Note a figure that has a lower limit."""
        self._note(name, value, f"{name} {_shown(value, unit)} (>= {_bound(limit)})")
        if value < limit:
            self.failures.append(f"{name} is {_shown(value, unit)}, less than {_bound(limit)}")

    def note(self, name: str, value: float, unit: str = "") -> None:
        """Note a figure that others are compared with."""
        self._note(name, value, f"{name} {_shown(value, unit)}")

    def spread(self, name: str, values: Sequence[float], limit: float) -> None:
        """Note median and largest of some times in seconds; the largest has a limit."""
        if not values:
            self.failures.append(f"{name}: nothing was measured")
            return
        middle, largest = statistics.median(values), max(values)
        self._note(name, [middle, largest], f"{name} p50/p100 {middle:.2f}/{largest:.2f} s")
        if largest > limit:
            self.failures.append(f"{name} took {largest:.2f} s, more than {_bound(limit)} s")

    def holds(self, name: str, is_so: bool, otherwise: str = "") -> None:
        """Note something that is so, or not."""
        self._note(name, is_so, name if is_so else f"NOT {name}")
        if not is_so:
            self.failures.append(otherwise or f"not {name}")

    @property
    def line(self) -> str:
        """All of it in one line."""
        head = f"{self.scenario} {self.broker} seed {self.seed}"
        whose = "" if self.system == OURS else f"{self.system} "
        return f"{whose}{head}: {', '.join(self.texts.values())}"

    def _note(self, name: str, value: Any, text: str) -> None:
        self.facts[name] = value
        self.texts[name] = text


def _shown(value: float, unit: str = "") -> str:
    return f"{value:.2f}{unit}" if isinstance(value, float) else f"{value}{unit}"


def _bound(limit: float) -> str:
    return f"{limit:.2f}".rstrip("0").rstrip(".")
