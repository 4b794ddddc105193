"""The example site: its functions, its pages, its demo, on every broker."""

import sys
from pathlib import Path

#: The folder whose modules the example's own programs find first in their path.
EXAMPLE = Path(__file__).parents[2] / "example"

sys.path.insert(0, str(EXAMPLE))
