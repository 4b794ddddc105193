"""Texts for values of any kind, of limited length and in limited time, and their HTML.

Values come from packages and rows that strangers may have written: endless, deep or broken ones
cost no more than others. Called by the admin's pages.
"""

import itertools
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from django_q.admin.looking import StandIn
from django_q.texts import ngettext

#: Characters of a shown value, and of one piece of it.
LONGEST = 20_000
_LONGEST_PIECE = 2_000
#: Columns of a pretty text: what fits beside the labels of a page.
_WIDTH = 88
#: Levels and elements that a pretty text shows.
_DEEPEST = 12
_MOST = 200
#: Lines and characters that a page shows at once; the rest is folded.
_OPEN_LINES = 16
_OPEN_LENGTH = 2_000
#: Django Q puts a traceback behind the error with these words.
_TRACEBACK = " : Traceback (most recent call last):\n"


_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}


class _Parts(NamedTuple):
    start: str
    #: What stands before each element, and the element.
    elements: Iterator[tuple[str, Any]]
    end: str


def show(value: Any, longest: int = LONGEST) -> str:
    """Give a value as text on one line, of at most `longest` characters; a text as it is."""
    return _cut(value, longest) if isinstance(value, str) else _flat(value, longest)


def pretty(value: Any, longest: int = LONGEST) -> str:
    """Give a value as text, laid out over lines where one does not hold it; a text as it is."""
    if isinstance(value, str):
        return _cut(value, longest)
    lines: list[str] = []
    length = 0
    for line in _lines(value, "", "", 0):
        lines.append(line)
        length += len(line) + 1
        if length > longest:
            lines.append("…")
            break
    return _cut("\n".join(lines), longest + 2)


def text_block(value: Any) -> SafeString:
    """Give the HTML of a value: monospace, escaped, its end folded if it is long."""
    text = pretty(value)
    end = _open_end(text)
    if end >= len(text):
        return _block(text)
    rest = text[end:].removeprefix("\n")
    return format_html("{}{}", _block(text[:end]), _folded(rest))


def error_block(text: str) -> SafeString:
    """Give the HTML of an error: what it says, then its traceback, of a long one the last lines."""
    error, found, traceback = text.partition(_TRACEBACK)
    if not found:
        return text_block(text)
    lines = traceback.rstrip("\n").split("\n")
    # The first line that is open begins a frame.
    start = max(len(lines) - _OPEN_LINES, 0)
    start = next((n for n in range(start, len(lines)) if lines[n].startswith("  File ")), start)
    before, last = lines[:start], lines[start:]
    head = format_html('<p class="django-q-error">{}</p>', _cut(error, _LONGEST_PIECE))
    if len(before) < 3:  # not worth a fold
        return format_html("{}{}", head, _block("\n".join(lines)))
    tail = "\n".join(last)[-LONGEST:]
    return format_html("{}{}{}", head, _folded(_cut("\n".join(before), LONGEST)), _block(tail))


def path_text(path: str) -> SafeString:
    """Give the HTML of a dotted path, with places to break the line behind dots and underscores."""
    parts = re.split(r"(?<=[._])(?=[^._])", path)
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in parts))


def headline(error: str, longest: int = 100) -> str:
    """Give the first line of an error's text, without its traceback."""
    return _cut(error.partition(_TRACEBACK)[0].strip().partition("\n")[0], longest)


# Texts.


def _flat(value: Any, longest: int) -> str:
    text = ""
    for token in _tokens(value):
        text += token
        if len(text) > longest:
            break
    return _cut(text, longest)


def _tokens(value: Any, level: int = 0) -> Iterator[str]:
    """Give the text of a value piece by piece, so that the reader of an endless one can stop."""
    parts = _parts(value)
    if parts is not None and level == 2 * _DEEPEST:
        parts = _Parts(parts.start, iter(()), f"…{parts.end}")
    if parts is None:
        yield _piece(value)
        return
    yield parts.start
    for number, (label, element) in enumerate(parts.elements):
        yield f"{', ' if number else ''}{label}"
        yield from _tokens(element, level + 1)
    yield parts.end


def _lines(value: Any, label: str, comma: str, level: int) -> Iterator[str]:
    indent = "    " * level
    parts = _parts(value)
    width = max(_WIDTH - len(indent) - len(label), 20)
    flat = _piece(value) if parts is None else _flat(value, width + 1)
    if parts is None or len(flat) <= width:
        yield f"{indent}{label}{flat}{comma}"
        return
    if level == _DEEPEST:
        yield f"{indent}{label}{parts.start}…{parts.end}{comma}"
        return
    yield f"{indent}{label}{parts.start}"
    packed = ""
    room = width - 4
    for inner, element in itertools.islice(parts.elements, _MOST):
        short = "" if inner else _flat(element, room + 1)
        if packed and (not short or len(packed) + len(short) + 2 > room):
            yield f"{indent}    {packed}"
            packed = ""
        if short and len(short) < room:
            packed += f" {short}," if packed else f"{short},"
        else:
            yield from _lines(element, inner, ",", level + 1)
    if packed:
        yield f"{indent}    {packed}"
    if next(parts.elements, None) is not None:
        yield f"{indent}    …"
    yield f"{indent}{parts.end}{comma}"


def _parts(value: Any) -> _Parts | None:
    """Take a container apart; None for what is shown in one piece."""
    kind = type(value)
    if kind in (dict, OrderedDict) and value:
        labelled = ((f"{_flat(key, 80)}: ", value[key]) for key in value)
        return _Parts("{", labelled, "}")
    if isinstance(value, StandIn):
        name, elements = value.django_q_parts()
        return _Parts(f"{name}(", iter(elements), ")")
    brackets = _BRACKETS.get(kind)
    if brackets is None or not value:
        return None
    end = f",{brackets[1]}" if kind is tuple and len(value) == 1 else brackets[1]
    return _Parts(brackets[0], (("", element) for element in value), end)


def _piece(value: Any) -> str:
    if isinstance(value, (str, bytes, bytearray)) and len(value) > _LONGEST_PIECE:
        return f"{value[:_LONGEST_PIECE]!r}…"
    try:
        return _cut(repr(value), _LONGEST_PIECE)
    except Exception as error:  # the value's own code, or a number of too many digits
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


# HTML.


def _open_end(text: str) -> int:
    """Give the place where the part that is shown at once ends."""
    place = -1
    for _ in range(_OPEN_LINES):
        place = text.find("\n", place + 1)
        if place < 0:
            place = len(text)
            break
    return min(place, _OPEN_LENGTH) if len(text) > _OPEN_LENGTH + 200 else place


def _block(text: str) -> SafeString:
    return format_html('<pre class="django-q-text">{}</pre>', text)


def _folded(text: str) -> SafeString:
    number = text.count("\n") + 1
    more = ngettext("%(number)d more line", "%(number)d more lines", number)
    return fold(more % {"number": number}, text)


def fold(title: str, text: str) -> SafeString:
    """Give the HTML of a text of which only the title can be seen until it is clicked."""
    return format_html(
        '<details class="django-q-fold"><summary>{}</summary>{}</details>', title, _block(text)
    )
