"""The options of a task: which there are, taking them out of keywords, and what is wrong with them.

Used wherever a task is sent or made: `async_task`, chains, schedules, `django.tasks`.
"""

import functools
from collections.abc import Mapping
from typing import Any

from django_q.conf import Conf, logger
from django_q.exceptions import PackageError
from django_q.limit_options import LIMIT_OPTIONS, check_limits
from django_q.order_options import ORDER_OPTIONS
from django_q.policy import RETRY_OPTIONS, check_policy

#: Options that name what is called once a task has ended, with its result or its error.
CALLBACKS = ("on_success", "on_failure", "on_timeout")
#: Keys of packages that are followed by something.
FOLLOWED = frozenset(("chain", *CALLBACKS))
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
    "track",
    *CALLBACKS,
    *RETRY_OPTIONS,
    *ORDER_OPTIONS,
    "on_commit",
    "atomic",
    *LIMIT_OPTIONS,
)
_OPTIONS = frozenset(OPTIONS)
#: Keywords that make a call more than one of the function.
_KEYWORDS = _OPTIONS | {"q_options"}
#: Options that the settings of the project that sends decide where the task does not say.
_SENT_ALONG = (
    *(("cached", "CACHED"), ("ack_failure", "ACK_FAILURES")),
    *(("track", "TRACK"), ("atomic", "ATOMIC")),
)
#: Longest name, group and cluster: the width of their columns.
_LONGEST_LABEL = 100
#: Longest time limit, some thirty years: the system's timers do not take much more.
LONGEST_TIME = 1e9


def take_options(
    kwargs: dict[str, Any], func: Any = None, inherited: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Move the task's options out of the keywords.

    Those in `q_options` win, and leave a keyword of the same name to the function. What is
    `inherited` stands between the two. Where all are silent, what the decorator `task` says of the
    function counts.
    """
    options: dict[str, Any] = {}
    if not _KEYWORDS.isdisjoint(kwargs):
        options = _taken(kwargs, inherited or {})
    elif inherited:
        options = dict(inherited)
    defaults = getattr(func, "task_options", None)
    if defaults:
        # Two ways to say one thing: the call's word counts.
        is_timed = "delay" in options or "run_at" in options
        left_out = ("delay", "run_at") if is_timed else ()
        options = {k: v for k, v in defaults.items() if k not in left_out} | options
    options = _sent_along(Conf.version) | options
    return {key: value for key, value in options.items() if value is not None or key == "timeout"}


def _taken(kwargs: dict[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    inner = _inner_options(kwargs.pop("q_options", None))
    if kwargs.get("task_name") is not None:  # the one keyword that wins over q_options
        inner.pop("task_name", None)
    elif "task_name" in kwargs:
        del kwargs["task_name"]
    outer = {key: kwargs.pop(key) for key in OPTIONS if key in kwargs and key not in inner}
    return {**outer, **inherited, **inner}


@functools.lru_cache(maxsize=1)
def _sent_along(version: int) -> dict[str, Any]:
    """Give what goes with every task, so that a worker with other settings does as these say."""
    values = {key: getattr(Conf, attribute) for key, attribute in _SENT_ALONG}
    return {key: value for key, value in values.items() if value}


def options_in_company(func: Any) -> dict[str, Any]:
    """Give what a decorator says of a function that is one of several: all but their group."""
    options = getattr(func, "task_options", None) or {}
    return {key: value for key, value in options.items() if key != "group"}


def travelling(element: Any) -> Any:
    """Give a link of a chain, or a callback, as it travels: decorated ones as path and options.

    So does a task of Django's framework, which cannot be called.
    """
    is_tuple = isinstance(element, (tuple, list)) and bool(element)
    func, *rest = element if is_tuple else (element,)
    path = getattr(func, "module_path", None)
    if path is None:
        return element
    args, kwargs = rest[0] if rest else (), dict(rest[1]) if len(rest) > 1 else {}
    own = options_in_company(func) | (kwargs.pop("q_options", None) or {})
    return (path, args, kwargs | ({"q_options": own} if own else {}))


def check_options(package: Mapping[str, Any]) -> None:
    """Raise PackageError for the first option that means nothing."""
    for key in ("name", "group", "cluster"):
        _check_label(key, package.get(key))
    for key in ("timeout", "cached"):
        _check_number(key, package.get(key))
    if not isinstance(package.get("track", False), bool):
        raise PackageError(f"track is {package['track']!r:.100}: give True or False.")
    check_policy(package)
    check_limits(package)


def _check_label(key: str, value: Any) -> None:
    if value is None:
        return
    text = str(value)
    # What stands alone of a surrogate pair has no place in UTF-8.
    is_whole = text.isascii() or text.encode("utf-8", "ignore").decode() == text
    is_text = is_whole and "\0" not in text
    if len(text) > _LONGEST_LABEL or not is_text:
        raise PackageError(
            f"{key} is {text!r:.130}, with {len(text)} characters: a label has at most "
            f"{_LONGEST_LABEL}, without NUL and lone surrogates."
        )


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= LONGEST_TIME  # not true of NaN either


def _check_number(key: str, value: Any) -> None:
    is_switch = key == "cached" and isinstance(value, bool)
    if value is None or is_switch or _is_number(value):
        return
    others = {"cached": "True or False", "timeout": "-1 or None for no limit"}[key]
    raise PackageError(f"{key} is {value!r:.100}: give a number of seconds, or {others}.")


def _inner_options(given: Any) -> dict[str, Any]:
    if not given:
        return {}
    if not isinstance(given, Mapping):
        raise PackageError(f"q_options is {given!r:.100}: give a dict of options.")
    inner = dict(given)
    if "broker_name" in inner:  # Django Q's older word
        inner.setdefault("cluster", inner.pop("broker_name"))
    for key in sorted(set(inner) - _OPTIONS, key=str):
        # Django Q passed over them; a project that upgrades must not stop at one.
        text = "q_options has the unknown option %r, which does nothing. The options are: %s"
        logger.warning(text, key, ", ".join(OPTIONS))
        del inner[key]
    return inner
