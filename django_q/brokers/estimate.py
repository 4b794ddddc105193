"""A number that was not counted but reckoned: what `queue_size` gives of a very long queue."""

from collections.abc import Iterable


class Estimate(int):
    """An int that is right to a few percent only; screens write it with a `~`."""

    @staticmethod
    def rounded(number: float) -> "Estimate":
        """Give three digits: more of them would look as if it had been counted."""
        whole = round(number)
        return Estimate(round(whole, min(0, 3 - len(str(whole)))))

    @staticmethod
    def sum(numbers: Iterable[int]) -> int:
        """Add up; an estimate if one of the numbers is."""
        numbers = list(numbers)
        is_estimate = any(isinstance(number, Estimate) for number in numbers)
        return (Estimate if is_estimate else int)(sum(numbers))
