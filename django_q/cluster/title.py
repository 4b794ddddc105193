"""What the process list shows of a process, where `setproctitle` is installed."""

from collections.abc import Callable

try:
    from setproctitle import setproctitle
except ImportError:
    setproctitle = None

#: Control characters: a title is one line.
_UNSHOWN = dict.fromkeys([*range(32), 127], " ")


def set_title(text: str) -> None:
    """Show what this process is."""
    if setproctitle is not None:
        setproctitle(text)


class Title:
    """The title of a worker with the task that it runs; changed by its main thread.

    The words are Django Q's: `<what it is> processing <task> '<function>' [<group>]`, and `idle`.
    """

    def __init__(self, base: str, show: Callable[[str], object]) -> None:
        self._base = base
        self._show = show

    def show_idle(self) -> None:
        """Say that it waits for work."""
        self._show(f"{self._base} idle")

    def show_task(self, name: object, function: str, group: object = None) -> None:
        """Say what it runs. Costs about 2 us."""
        # Of another type it may have code of its own, which could raise.
        more = f" [{group}]" if group and type(group) in (str, int) else ""
        text = f"{self._base} processing {name} '{function}'{more}"
        self._show(text.translate(_UNSHOWN))


def title_of(base: str) -> Title | None:
    """Give the title of this process; None where it cannot be shown, so that it costs nothing."""
    return None if setproctitle is None else Title(base, setproctitle)
