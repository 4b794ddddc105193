"""How a screen is coloured: functions that put the codes of a terminal round a text.

Texts are cut and filled before they are painted, since codes have a length but no width.
"""

import dataclasses
from collections.abc import Callable

#: Takes a text, gives it with colour.
Brush = Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class Paint:
    """A brush for each purpose. Without any, everything stays plain."""

    #: The line at the top, and the one of the keys.
    bar: Brush = str
    heading: Brush = str
    #: What the arrow keys have chosen.
    chosen: Brush = str
    #: What is busy, what needs a look, and what is of no weight.
    busy: Brush = str
    warning: Brush = str
    faint: Brush = str
