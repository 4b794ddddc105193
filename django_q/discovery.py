"""Finds what decorators declare: the periodic functions in the modules `tasks` of the apps.

Called when a cluster starts, in its housekeeper. Importing those modules is code of the project.
"""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from django_q.conf import Conf, logger
from django_q.planning import Declarations
from django_q.soft_limit import SoftLimit
from django_q.task_function import TaskFunction

#: The module of an app that is looked into.
_MODULE = "tasks"


def declared_by_decorators(soft_limit: SoftLimit) -> Declarations:
    """Give the schedules that stand beside functions; modules that cannot be imported are told.

    Each import has the limit `open_timeout`.
    """
    entries: dict[str, Any] = {}
    modules = list(_task_modules(soft_limit))
    for module in modules:
        for function in vars(module).values() if module else ():
            if isinstance(function, TaskFunction):
                _add(entries, function)
    where = f"beside a function, in {_MODULE} of an app"
    # What a module that cannot be imported declares is not gone.
    return Declarations(entries, where, is_complete=None not in modules)


def _task_modules(soft_limit: SoftLimit) -> Iterator[ModuleType | None]:
    """Give the modules; None for one that cannot be imported."""
    for app in apps.get_app_configs():
        if app.module is None or not module_has_submodule(app.module, _MODULE):
            continue
        path = f"{app.name}.{_MODULE}"
        try:
            with soft_limit.within(Conf.OPEN_TIMEOUT, f"Importing {path}"):
                module = importlib.import_module(path)
            yield module
        except BaseException:  # code of the project: whatever it raises, the others are looked at
            logger.exception("%s cannot be imported, so its periodic tasks stay as they are", path)
            yield None


def _add(entries: dict[str, Any], function: TaskFunction[..., Any]) -> None:
    path = function.module_path
    for period in function.periods:
        name = period.name or path
        values = {**period.values, "func": path, "q_options": dict(function.task_options)}
        if cluster := values["q_options"].pop("cluster", None):
            values["cluster"] = cluster
        if entries.setdefault(name, values) != values:
            logger.error("Two schedules beside functions have the name %s: name one of them", name)
