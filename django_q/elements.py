"""Tasks among several: links of chains, members of groups, and what is called after a task.

An element is a function, or a tuple of function, arguments and keywords. Used where one becomes a
package, and by producers, who look at all that is to follow before they send anything.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from django_q.exceptions import PackageError
from django_q.options import CALLBACKS, FOLLOWED, options_in_company, take_options
from django_q.package import TaskPackage, build_package, function_path
from django_q.schedule_arguments import Deferred

#: Options of a link that the next one has too.
_OF_LINKS = ("group", "cached", "cluster", "sync", "chain_goes_on", "pass_result")
#: Options of a task that what is called after it has too.
_OF_CALLBACKS = ("cluster", "sync")


def link_parts(link: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Take a link apart: a function alone, or a tuple that may be shorter than three."""
    if not isinstance(link, (tuple, list)) or not link:
        return link, (), {}
    func, *rest = link
    args = rest[0] if rest else ()
    kwargs = rest[1] if len(rest) > 1 else {}
    if not isinstance(kwargs, Mapping):
        raise PackageError(f"the keywords are {kwargs!r:.100}: give a dict.")
    return func, tuple(args) if isinstance(args, (tuple, list)) else (args,), dict(kwargs)


def for_next_link(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give those options of a link that the next one has too."""
    return {key: options[key] for key in _OF_LINKS if options.get(key) is not None}


def for_callback(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give those options of a task that what is called after it has too."""
    return {key: options[key] for key in _OF_CALLBACKS if options.get(key) is not None}


def own_options(func: Any, kwargs: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Move the options of an element out of its keywords.

    `options` win over these, then what its decorator says, and its `q_options` over all.
    """
    return take_options(kwargs, inherited={**options, **options_in_company(func)})


def member_package(
    element: Any, options: Mapping[str, Any], fixed: Mapping[str, Any], given: tuple[Any, ...] = ()
) -> TaskPackage:
    """Make the package of an element, with its own options; those that are `fixed` win over all.

    `given` come first among its arguments. Raises PackageError.
    """
    func, args, kwargs = link_parts(element)
    own = own_options(func, kwargs, options)
    own.pop("broker", None)  # it goes where the others go
    package = build_package(func, (*given, *args), kwargs, {**own, **fixed})
    check_member(package)
    return package


def check_member(package: TaskPackage) -> None:
    """Raise PackageError for options that a task cannot have which is sent together with others."""
    if package.get("unique"):
        raise PackageError(
            f"unique is {package['unique']!r:.100}, but a task that belongs to a chain or a group, "
            "or follows another one, has to run: leave it out."
        )
    if "broker" in package:
        raise PackageError("broker is an option of the whole chain or group, not of one task.")


# Looking ahead.


def check_followers(package: Mapping[str, Any], first: int = 2) -> None:
    """Raise PackageError for the first of what is to follow a task that could not be sent.

    A `package` may be options alone; `first` is the number of the first link in its chain.
    """
    for _ in foreseen(package, first):
        pass


def foreseen(package: Mapping[str, Any], first: int = 2) -> Iterator[tuple[str, TaskPackage]]:
    """Give the packages of all that may follow a task, as far as is known yet, with their names.

    Raises PackageError, with the name, for what makes none.
    """
    if FOLLOWED.isdisjoint(package):  # most are: this is on every task's way
        return
    for number, link in enumerate(_links(package.get("chain")), first):
        yield from _foreseen(f"Link {number} of the chain", link, for_next_link(package))
    for role in CALLBACKS:
        if package.get(role) is not None:
            yield from _foreseen(role, package[role], for_callback(package))


def _links(chain: Any) -> list[Any] | tuple[Any, ...]:
    if chain is None or isinstance(chain, Deferred):  # a schedule's, which was looked at before
        return ()
    if not isinstance(chain, (list, tuple)):
        raise PackageError(f"chain is {chain!r:.100}: give a list of functions and tuples.")
    return chain


def _foreseen(
    role: str, element: Any, options: Mapping[str, Any]
) -> Iterator[tuple[str, TaskPackage]]:
    name = name_of(role, element)
    with named(name):
        package = member_package(element, options, {})
    yield name, package
    with named(name):
        for after, follower in foreseen(package):
            yield f"{name}: {after}", follower


def name_of(role: str, element: Any) -> str:
    """Give the words by which an error tells of one task among several."""
    is_tuple = isinstance(element, (tuple, list)) and bool(element)
    return f"{role} ({function_path(element[0] if is_tuple else element)})"


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Put the name of a task before the text of an error that is about it."""
    try:
        yield
    except PackageError as error:
        raise PackageError(f"{name}: {error}") from error
