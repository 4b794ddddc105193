"""A full screen in a terminal, with keys: the loop of `qmonitor` and `qmemory`. Needs blessed."""

import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from django_q.monitor.paint import Paint
from django_q.texts import gettext as _

blessed: Any
try:
    import blessed
except ImportError:  # then there are plain texts only
    blessed = None


class Screen(Protocol):
    """What is shown, and what keys do to it."""

    #: Seconds from one picture to the next.
    period: float

    def draw(self, width: int, height: int, paint: Paint, has_unicode: bool) -> list[str]:
        """Give the lines of a picture."""

    def press(self, key: str) -> bool:
        """Take a key (a letter, `KEY_UP`, ...); False ends it."""


def is_live(output: Any) -> bool:
    """Tell whether there is a person at a terminal that can show a full screen."""
    if blessed is None or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return all(stream.isatty() for stream in (sys.stdin, output) if stream is not None)


def lacks_blessed(output: Any) -> bool:
    """Tell whether there is a person at a terminal who could have more."""
    return blessed is None and bool(output.isatty())


def cure() -> str:
    """Say what a live screen needs."""
    return _('For a live screen: pip install "django-q3[monitor]"')


def show(screen: Screen) -> None:
    """Show it until a key, or Ctrl-C, ends it. The terminal is as before then."""
    terminal = blessed.Terminal()
    paint = _paint(terminal)
    has_unicode = "utf" in (terminal.stream.encoding or "").lower()
    with terminal.fullscreen(), terminal.cbreak(), terminal.hidden_cursor():
        try:
            _loop(terminal, screen, lambda w, h: screen.draw(w, h, paint, has_unicode))
        except KeyboardInterrupt:
            return


def _loop(terminal: Any, screen: Screen, draw: Callable[[int, int], list[str]]) -> None:
    size: tuple[int, ...] = ()
    while True:
        # In one write, line over line: a screen that is cleared first flickers.
        lines = draw(terminal.width, terminal.height)
        text = f"{terminal.clear_eol}\r\n".join(lines)
        begin = terminal.home if size == (terminal.width, terminal.height) else terminal.clear
        size = (terminal.width, terminal.height)
        terminal.stream.write(f"{begin}{terminal.home}{text}{terminal.clear_eol}")
        terminal.stream.flush()
        key = terminal.inkey(timeout=screen.period)
        while key:
            if not screen.press(key.name or str(key)):
                return
            key = terminal.inkey(timeout=0)


def _paint(terminal: Any) -> Paint:
    return Paint(
        bar=terminal.black_on_cyan,
        heading=terminal.bold,
        chosen=terminal.reverse,
        busy=terminal.green,
        warning=terminal.yellow,
        faint=terminal.dim,
    )


def end_keys(key: str) -> bool:
    """Tell whether a key is one of those that end a screen."""
    return key in ("q", "Q", "KEY_ESCAPE")
