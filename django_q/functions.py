"""Finds functions and classes by their dotted paths. Importing user code, so in the main thread."""

import fnmatch
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.module_loading import import_string

from django_q.conf import Conf
from django_q.exceptions import PackageError

#: Longest dotted path of a function or hook: the width of their columns.
LONGEST_PATH = 256
#: Tasks of our own, which are always let through: those that collect parts.
_OURS = (
    "django_q.results.gatherings.gather",
    "django_q.results.gatherings.call_with_results",
)


def find_function(func: str | Callable[..., Any]) -> Callable[..., Any]:
    """Give the callable behind a dotted path. Raises PackageError when there is none.

    Not remembered: it takes less than a microsecond, and tests put others in its place.
    """
    check_allowed(func)
    if not isinstance(func, str):
        return func
    try:
        found: Callable[..., Any] = _loaded_function(func) or _import_path(func)
    except (ImportError, AttributeError, ValueError) as error:
        raise PackageError(f"The function {func!r} cannot be found: {error}") from error
    return found if callable(found) else _call_of(func, found)


def check_allowed(func: str | Callable[..., Any]) -> None:
    """Raise PackageError for what `Q_CLUSTER["functions"]` does not let tasks and hooks call.

    Looks at the dotted path only: nothing is imported for it.
    """
    patterns = Conf.FUNCTIONS
    if patterns is None:
        return
    if isinstance(func, str):
        path = func
    else:
        named = func if hasattr(func, "__qualname__") else type(func)
        path = f"{named.__module__}.{named.__qualname__}"
    if not any(fnmatch.fnmatchcase(path, pattern) for pattern in (*patterns, *_OURS)):
        raise PackageError(
            f'{path!r} is not among what Q_CLUSTER["functions"] lets tasks call: '
            f"{', '.join(patterns) or 'nothing'}."
        )


def find_error(path: str) -> type[BaseException] | None:
    """Give the exception class behind a dotted path, or a built-in name.

    None where `Q_CLUSTER["functions"]` keeps us from importing its module, and nobody has yet: then
    no error is of that class. Raises PackageError where there is none.
    """
    path = path if "." in path else f"builtins.{path}"
    if Conf.FUNCTIONS is not None and path.rpartition(".")[0] not in sys.modules:
        return None
    try:
        found = _import_path(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise PackageError(f"The exception {path!r} cannot be found: {error}") from error
    if not isinstance(found, type) or not issubclass(found, BaseException):
        raise PackageError(f"{path!r} is no exception class.")
    return found


def check_element(role: str, element: Any) -> None:
    """Raise PackageError for what is no function, nor a tuple that begins with one."""
    is_tuple = isinstance(element, (tuple, list)) and bool(element)
    check_function(role, element[0] if is_tuple else element)


def check_function(role: str, func: Any) -> None:
    """Raise PackageError for what no worker could find and call; `role` names it."""
    _check_path(role, func)
    check_allowed(func)


def _check_path(role: str, func: Any) -> None:
    if isinstance(func, str):
        if "." not in func or len(func) > LONGEST_PATH or "\0" in func:
            raise PackageError(
                f"{role} is {func!r:.300}: give a dotted path such as 'app.tasks.work', "
                f"of at most {LONGEST_PATH} characters."
            )
        return
    if not callable(func):
        raise PackageError(f"{role} is {func!r:.300}: give a function or its dotted path.")
    path = getattr(func, "__qualname__", "")
    if "<lambda>" in path or "<locals>" in path:
        raise PackageError(
            f"{role} is {path!r}: a worker finds functions by name, so a lambda or a function "
            "inside another cannot be sent. Move it to the top level of a module."
        )


def function_of(package: Mapping[str, Any]) -> Callable[..., Any]:
    """Give what one run of a task calls. Raises PackageError when there is nothing."""
    func = find_function(package["func"])
    if type(func) is types.FunctionType:
        return func
    # A task of Django's framework is told of its run, since it may ask for its context.
    # Its class is asked: what stands in a function's place in tests has every attribute.
    bind = getattr(type(func), "bound_to_package", None)
    return func if bind is None else bind(func, package)


def _loaded_function(path: str) -> types.FunctionType | None:
    """Give a plain function of a module that is loaded, as most are; else None."""
    home, _, name = path.rpartition(".")
    module = sys.modules.get(home)
    found = getattr(module, name, None)
    # While another thread imports it, who comes waits for the end of that.
    is_half = getattr(getattr(module, "__spec__", None), "_initializing", False)
    return found if type(found) is types.FunctionType and not is_half else None


def _call_of(path: str, found: Any) -> Callable[..., Any]:
    """Give what is called for a task of Django's framework, which cannot be called itself."""
    try:
        call: Callable[..., Any] = found.get_backend().call_of(found)
    except AttributeError as error:
        raise PackageError(
            f"{path!r} is a {type(found).__name__}, not a function, nor a task of Django's "
            "framework with the backend django_q.backend.DjangoQBackend."
        ) from error
    return call


def _import_path(path: str) -> Any:
    """Import `package.module.function`, or `package.module.Class.method`."""
    if path.startswith(".") or len(path) > LONGEST_PATH:
        raise ImportError(
            f"a path from the top is needed, of at most {LONGEST_PATH} characters, such as "
            "'app.tasks.work'"
        )
    try:
        return import_string(path)
    except ImportError:
        owner, _, attribute = path.rpartition(".")
        if "." not in owner:
            raise
        try:
            found = import_string(owner)
        except ImportError:
            found = None
        # What a module has imported from elsewhere is not its own: `shop.tasks.os.system`.
        if found is None or inspect.ismodule(found):
            raise
        return getattr(found, attribute)
