"""The options of a task: which there are, and taking them out of keywords.

Used wherever a task is sent or made: `async_task`, chains, schedules.
"""

from collections.abc import Mapping
from typing import Any

from django_q.conf import Conf, logger
from django_q.exceptions import PackageError

#: Keywords of `async_task` that are options of the task; all others go to the function.
OPTIONS = (
    "hook",
    "group",
    "save",
    "sync",
    "cached",
    "ack_failure",
    "chain",
    "gather",
    "iter_count",
    "iter_cached",
    "broker",
    "timeout",
    "cluster",
    "task_name",
)


def take_options(
    kwargs: dict[str, Any], inherited: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Move the task's options out of the keywords.

    Those in `q_options` win, and leave a keyword of the same name to the function. What is
    `inherited` stands between the two.
    """
    inner = _inner_options(kwargs.pop("q_options", None))
    if kwargs.get("task_name") is not None:  # the one keyword that wins over q_options
        inner.pop("task_name", None)
    elif "task_name" in kwargs:
        del kwargs["task_name"]
    options = {key: kwargs.pop(key) for key in OPTIONS if key in kwargs and key not in inner}
    options |= dict(inherited or {}) | inner
    # A worker of another project's settings shall do as this one says.
    for key, attribute in (("cached", "CACHED"), ("ack_failure", "ACK_FAILURES")):
        if key not in options and getattr(Conf, attribute):
            options[key] = getattr(Conf, attribute)
    return {key: value for key, value in options.items() if value is not None or key == "timeout"}


def _inner_options(given: Any) -> dict[str, Any]:
    inner = given or {}
    if not isinstance(inner, Mapping):
        raise PackageError(f"q_options is {inner!r:.100}: give a dict of options.")
    inner = dict(inner)
    if "broker_name" in inner:  # Django Q's older word
        inner.setdefault("cluster", inner.pop("broker_name"))
    for key in sorted(set(inner) - set(OPTIONS), key=str):
        # Django Q passed over them; a project that upgrades must not stop at one.
        text = "q_options has the unknown option %r, which does nothing. The options are: %s"
        logger.warning(text, key, ", ".join(OPTIONS))
        del inner[key]
    return inner
