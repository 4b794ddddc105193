"""An app whose receiver of `post_execute` does what the name of the task says."""

import os
import time
from typing import Any

from django.apps import AppConfig

from django_q import signals
from tests.site.tasks import swallow_everything, write

#: Seconds of a receiver that only takes long.
NAP = 10.0


class DozingConfig(AppConfig):
    """Hears of every task that has ended."""

    name = "tests.site.dozing"
    path = os.path.dirname(__file__)

    def ready(self) -> None:
        """Connect."""
        signals.post_execute.connect(react, weak=False)


def react(sender: Any, task: Any, **_: Any) -> None:
    """Write "began NAME", doze, hang, swallow or raise, and write "ended NAME"."""
    deed = _DEEDS.get(task["name"])
    if deed is not None:
        path = os.environ["TEST_NOISE"]
        write(path, f"began {task['name']}")
        deed()
        write(path, f"ended {task['name']}")


def _fail() -> None:
    raise RuntimeError("the receiver fails on purpose")


_DEEDS: dict[str, Any] = {
    "doze": lambda: time.sleep(NAP),
    "hang": lambda: time.sleep(1e6),
    "swallow": swallow_everything,
    "fail": _fail,
}
