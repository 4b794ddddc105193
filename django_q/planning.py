"""Plans schedules: `schedule` in code, and `synchronise` for those that the settings declare.

Names are unique among what is planned here. There may be namesakes from before, so the table has
no rule about them.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction
from django.utils import timezone

from django_q.brokers import shared_broker
from django_q.conf import Conf, logger
from django_q.dispatch import check_transactions
from django_q.elements import check_followers
from django_q.exceptions import PackageError
from django_q.limit_options import pickled_alike
from django_q.models import Ledger, Schedule
from django_q.models.timing import as_stored
from django_q.options import OPTIONS, take_options
from django_q.package import build_package, function_path
from django_q.results.looks import is_any
from django_q.schedule_arguments import is_sealed, keep, parse_args, parse_kwargs
from django_q.sealed import seal_package

#: Keywords of `schedule` that are columns; all others go to the function.
_COLUMNS = (
    *("name", "hook", "schedule_type", "minutes", "repeats", "next_run", "cron", "cluster"),
    *("intended_date_kwarg", "catch_up"),
)
#: What makes a schedule due at other times when it changes.
_TIMING = ("schedule_type", "minutes", "seconds", "cron")
#: What a declaration says of a row that nothing else changes.
_DECLARED = (
    *("func", "hook", "args", "kwargs", "cluster", "intended_date_kwarg", "catch_up"),
    *_TIMING,
)
#: Begins the column `declaration` of what the settings declare, of what decorators do, and of what
#: other code does.
_BY_SETTINGS, _BY_DECORATOR, _BY_CODE = "settings ", "decorator ", "code "
#: Begins the error of a schedule that was declared once.
_GONE = "It is no longer declared "
#: A column that a declaration leaves out tells the type.
_TYPES = {
    "cron": Schedule.CRON,
    "seconds": Schedule.SECONDS,
    "minutes": Schedule.MINUTES,
}


class Declarations(NamedTuple):
    """The schedules that one place declares: by name, as in `Q_CLUSTER["schedules"]`."""

    entries: Mapping[str, Any]
    #: Where, in words that follow "declared".
    where: str
    mark: str = _BY_DECORATOR
    #: Whether that are all of them: those that are missing are gone.
    is_complete: bool = True


def schedule(func: Any, *args: Any, **kwargs: Any) -> Schedule:
    """Plan a task for certain times; gives the saved schedule.

    The keywords `name, hook, schedule_type, minutes, repeats, next_run, cron, cluster,
    intended_date_kwarg, catch_up`, and `seconds` with the type Seconds, are the schedule's; task
    options may stand in `q_options`; all others are the function's. With `update_by_name=True` a
    schedule of that name becomes what is said here, and keeps its next run where it can.

    Raises IntegrityError when the name is taken, ValidationError for a value that no column takes,
    and PackageError when the task could not be sent.
    """
    is_update = kwargs.pop("update_by_name", False)
    names = [name for name in _COLUMNS if name in kwargs]
    if kwargs.get("schedule_type") == Schedule.SECONDS and "seconds" in kwargs:
        names.append("seconds")
    values = {name: kwargs.pop(name) for name in names}
    made, digest = _make(func, args, kwargs, values)
    alias = router.db_for_write(Schedule)
    if not made.name:
        if is_update:
            raise ValueError("update_by_name needs the name of the schedule.")
        made.save(using=alias)
        return made
    with _name_held(made.name, alias):
        known = _named(made.name, alias)
        if known is not None and not is_update:
            raise IntegrityError(f"There is a schedule named {made.name!r} already.")
        if is_update:
            made.declaration = _BY_CODE + digest
        if known is None:
            made.save(using=alias)
            return made
        if (known.declaration or "").startswith((_BY_SETTINGS, _BY_DECORATOR)):
            raise IntegrityError(
                f'{made.name!r} is declared in Q_CLUSTER["schedules"] or beside its function.'
            )
        _lay_over(known, made, values.get("next_run") is not None)
        return known


def synchronise(queue: str, declared: Declarations | None = None) -> None:
    """Make the schedules of a queue what one place says of them: `Q_CLUSTER["schedules"]`.

    New ones are made, changed ones are changed, those that are declared no longer are disabled.
    Schedules that were made otherwise stay as they are. What cannot be made is logged, and the
    others are.
    """
    alias = router.db_for_write(Schedule)
    place = declared or Declarations(Conf.SCHEDULES, 'in Q_CLUSTER["schedules"]', _BY_SETTINGS)
    for name, values in place.entries.items():
        try:
            made, digest = _declared(name, values)
            if (made.cluster or Conf.PREFIX) == queue:
                made.declaration = place.mark + digest
                _synchronise_one(made, values, alias, place)
        except (ValidationError, ValueError, TypeError, PackageError) as error:
            reason = " ".join(error.messages) if isinstance(error, ValidationError) else error
            logger.error("%s is declared %s, which cannot be: %s", name, place.where, reason)
    if place.is_complete and is_any(Schedule):
        _disable_gone(queue, alias, place)


def _synchronise_one(
    made: Schedule, values: Mapping[str, Any], alias: str, place: Declarations
) -> None:
    with _name_held(str(made.name), alias):
        known = _named(str(made.name), alias)
        if known is None:
            made.save(using=alias)
            logger.info("Schedule %s was made, as declared %s", made.name, place.where)
        elif not (known.declaration or "").startswith(place.mark):
            raise ValueError("A schedule of that name was made otherwise. Rename or delete it.")
        elif _lay_over(known, made, values.get("next_run") is not None):
            logger.info("Schedule %s was changed, as declared %s", made.name, place.where)


def _disable_gone(queue: str, alias: str, place: Declarations) -> None:
    reason = f"{_GONE}{place.where}."
    ours = Schedule.objects.using(alias).filter(declaration__startswith=place.mark, enabled=True)
    for row in ours.exclude(name__in=list(place.entries)):
        if (row.cluster or Conf.PREFIX) == queue:
            row.enabled, row.error = False, reason
            row.save(using=alias, update_fields=["enabled", "error"])
            logger.warning("Schedule %s is disabled: %s", row.name, reason)


def _declared(name: str, values: Any) -> tuple[Schedule, str]:
    """Make the schedule that an entry of the settings describes, as `_make`."""
    if not isinstance(values, Mapping) or "func" not in values:
        raise ValueError(f'It is {values!r:.200}: give a dict with "func" and when to call it.')
    known = {*_COLUMNS, "func", "args", "kwargs", "q_options", "seconds"} - {"name"}
    if unknown := set(values) - known:
        raise ValueError(
            f"It has the unknown key {min(unknown, key=str)!r}; the keys are {sorted(known)}."
        )
    columns = {key: values[key] for key in (*_COLUMNS, "seconds") if key in values}
    kind = columns.get("schedule_type")
    if isinstance(kind, str):
        # By its name too: settings cannot import the model.
        columns["schedule_type"] = getattr(Schedule, kind.upper(), kind)
    args = values.get("args", ())
    args = tuple(args) if isinstance(args, (list, tuple)) else (args,)
    kwargs = dict(values.get("kwargs") or {})
    if values.get("q_options"):
        kwargs["q_options"] = values["q_options"]
    made, digest = _make(values["func"], args, kwargs, columns | {"name": name})
    if made.schedule_type == Schedule.ONCE:
        raise ValueError("It has to repeat: give schedule_type, cron, minutes or seconds.")
    return made, digest


def _make(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], values: Mapping[str, Any]
) -> tuple[Schedule, str]:
    """Make a schedule that could be run, unsaved and checked; `values` are columns.

    With it comes what all processes make of the same words.
    """
    columns = {key: value for key, value in values.items() if value is not None}
    if "schedule_type" not in columns:
        kinds = [kind for column, kind in _TYPES.items() if column in columns]
        columns["schedule_type"] = kinds[0] if kinds else Schedule.ONCE
    options = _pop_options(kwargs := dict(kwargs), func)
    func = getattr(func, "module_path", func)
    hook = columns.get("hook", options.pop("hook", None))
    if options.get("broker") is not None:
        raise PackageError("A schedule cannot keep a broker: name its queue, with cluster.")
    if "on_commit" in options:
        raise PackageError("A schedule has no transaction that on_commit could wait for.")
    _try_out(func, args, kwargs, options | {"hook": hook})
    if hook is not None:
        columns["hook"] = function_path(hook)
    try:
        kept = keep(args, kwargs, options)
    except Exception as error:  # pickling runs any code
        raise PackageError(f"{function_path(func)}: {error}") from error
    made = Schedule(func=function_path(func), **columns, **kept._asdict())
    made.full_clean()
    made.next_run = as_stored(made.next_run)
    return made, _digest(made, values, (args, kwargs, options))


def _pop_options(kwargs: dict[str, Any], func: Any) -> dict[str, Any]:
    """Move the task's options out of the keywords, as `take_options` will when it is due."""
    inner = kwargs.pop("q_options", None) or {}
    if not isinstance(inner, Mapping):
        raise PackageError(f"q_options is {inner!r:.100}: give a dict of options.")
    taken = [key for key in OPTIONS if key not in inner or key == "task_name"]
    named = {key: kwargs.pop(key) for key in taken if kwargs.get(key) is not None}
    first = {key: named[key] for key in ("task_name",) if key in named}
    return {**getattr(func, "task_options", {}), **named, **inner, **first}


def _try_out(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
) -> None:
    """Pack such a task: whoever plans one that cannot be sent is told, and not the log at night."""
    package = build_package(func, args, kwargs, take_options({"q_options": options}))
    check_followers(package)
    seal_package(package, Conf.CLUSTER_NAME)
    if package.get("atomic") and not package.get("sync", Conf.SYNC):
        check_transactions(shared_broker(package.get("cluster")))


def _lay_over(row: Schedule, made: Schedule, is_time_given: bool) -> bool:
    """Make a row what was declared, and save it; False when it is that already."""
    now = timezone.now()
    is_new = row.declaration != made.declaration
    differs = {name for name in _DECLARED if getattr(row, name) != getattr(made, name)}
    if not is_new and _has_same_call(row, made):
        differs -= {"args", "kwargs"}
    if not is_new and not differs and not (row.error or "").startswith(_GONE):
        return False
    for name in (*_DECLARED, "sealed", "declaration", *(["repeats"] if is_new else [])):
        setattr(row, name, getattr(made, name))
    due = as_stored(made.next_run)
    is_retimed = bool(differs & set(_TIMING))
    if row.schedule_type != Schedule.CRON:
        if is_time_given and (due is None or due > now):
            row.next_run = due
        elif is_retimed:
            is_past = due is not None and row.schedule_type != Schedule.ONCE
            row.next_run = made.calculate_next_run(after=now) if is_past else due
    # What was broken may be mended now. What a person has paused stays so.
    row.enabled = row.enabled or bool(row.error)
    row.full_clean()
    row.save()
    return True


def _has_same_call(row: Schedule, made: Schedule) -> bool:
    """Tell whether a row has still the arguments of its declaration, which is the same.

    Their texts tell only where they are equal: the order of a set is another in each process.
    """
    if made.sealed:
        return is_sealed(row.args, row.kwargs, row.sealed)
    try:
        calls = [(parse_args(each.args), parse_kwargs(each.kwargs)) for each in (row, made)]
    except ValueError:  # somebody has changed them
        return False
    return pickled_alike(calls[0]) == pickled_alike(calls[1])


def _named(name: str, alias: str) -> Schedule | None:
    # Locked, and so read as it is now, even in a transaction that has begun before.
    rows = Schedule.objects.using(alias).select_for_update().filter(name=name)
    return rows.order_by("pk").first()


@contextlib.contextmanager
def _name_held(name: str, alias: str) -> Iterator[None]:
    """Let nobody else make a schedule of this name until the transaction ends.

    A row of the ledger that is there and gone in one transaction: as a unique key, it makes the
    second one wait for the end of the first.
    """
    key = f"schedule {hashlib.sha256(name.encode()).hexdigest()}"
    with transaction.atomic(using=alias):
        rows = Ledger.objects.using(alias)
        rows.create(key=key)
        rows.filter(pk=key).delete()
        yield


def _digest(made: Schedule, values: Mapping[str, Any], call: tuple[Any, ...]) -> str:
    said = [getattr(made, name) for name in _DECLARED if name not in ("args", "kwargs")]
    # Sealed arguments are sealed anew where the form of packages has changed.
    said += [made.repeats, values.get("next_run"), made.sealed and Conf.SERIALIZER]
    try:
        arguments = pickled_alike(call)
    except Exception:  # code of the values; or they hold themselves
        arguments = repr((made.args, made.kwargs)).encode()
    return hashlib.sha256(repr(said).encode() + arguments).hexdigest()
