"""Connects the receivers."""

import os
from typing import Any, NoReturn

from django.apps import AppConfig

from django_q import signals
from tests.site.tasks import write


class NoisyConfig(AppConfig):
    """Hears every signal that is sent in a worker."""

    name = "tests.site.noisy"

    def ready(self) -> None:
        """Connect."""
        for name in ("post_spawn", "pre_execute", "post_execute_in_worker", "post_execute"):
            getattr(signals, name).connect(_listener(name), weak=False)


def _listener(name: str) -> Any:
    def listen(sender: Any, **values: Any) -> NoReturn:
        task = values.get("task")
        what = values["proc_name"] if task is None else task["name"]
        write(os.environ["TEST_NOISE"], f"{name} {what}")
        raise RuntimeError(f"the receiver of {name} fails on purpose")

    return listen
