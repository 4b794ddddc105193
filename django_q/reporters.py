"""Error reporters: what `Q_CLUSTER["error_reporter"]` names is told of every error of a task.

A reporter is a class that an installed package offers in the entry point group
`djangoq.errorreporters`. It is made once a process, at the first error, with the arguments that
the setting gives it; its method `report()` is called in the worker's main thread while the error
is being handled, so `sys.exc_info()` tells of it.
"""

import copy
import functools
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from django_q.conf import Conf, logger
from django_q.exceptions import ConfigurationError

__all__ = ["ErrorReporter", "error_reporter"]

#: Where packages say what they offer. The name is Django Q's.
GROUP = "djangoq.errorreporters"


class ErrorReporter:
    """Several reporters as one."""

    def __init__(self, reporters: Iterable[Any]) -> None:
        self.targets = list(reporters)

    def report(self) -> None:
        """Tell all of them of the error that is being handled; one that raises is logged."""
        for target in self.targets:
            try:
                target.report()
            except Exception:
                logger.exception("The error reporter %s raised", type(target).__name__)


class _ConfiguredReporters(ErrorReporter):
    """Those that the settings name; true when they name any."""

    def __init__(self) -> None:
        """Look at no setting yet."""

    def __bool__(self) -> bool:
        return bool(Conf.ERROR_REPORTER)

    @property
    def targets(self) -> list[Any]:  # type: ignore[override]
        """The reporters of this process, made at first use."""
        return list(_made(Conf.version)) if self else []


error_reporter = _ConfiguredReporters()


@functools.lru_cache(maxsize=1)
def _made(version: int) -> tuple[Any, ...]:
    made = []
    for name, arguments in Conf.ERROR_REPORTER.items():
        try:
            made.append(_make(name, arguments))
        except Exception:  # code of a package that somebody installed
            logger.exception("The error reporter %r cannot be used", name)
    return tuple(made)


def _make(name: str, arguments: Any) -> Any:
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        offered = sorted({entry.name for entry in entry_points(group=GROUP)})
        raise ConfigurationError(
            f'Q_CLUSTER["error_reporter"] names {name!r}, which no installed package offers. '
            f"There are: {', '.join(offered) or 'none'}."
        )
    # A copy: what a reporter does to its arguments stays there.
    return found[0].load()(**copy.deepcopy(arguments))
