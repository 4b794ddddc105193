"""The package of a scheduled task, made from the row of its schedule.

Made in the housekeeper, which runs no user code. The exception are receivers of `pre_enqueue`: they
have their say before a package is sealed, under a short limit.
"""

from datetime import datetime
from typing import Any

from django_q import signals, signing
from django_q.conf import Conf, logger
from django_q.elements import check_followers
from django_q.exceptions import TimeoutException
from django_q.executor import send_signal
from django_q.humanhash import humanize
from django_q.models import Schedule
from django_q.options import take_options
from django_q.package import TaskPackage, build_package
from django_q.schedule_arguments import Arguments, Deferred, read
from django_q.soft_limit import SoftLimit

#: Time that opening the arguments may take, and receivers: the housekeeper's other duties wait.
_USER_CODE_LIMIT = 1.0


def build_scheduled(
    schedule: Schedule, due: datetime, task_id: str, soft_limit: SoftLimit
) -> TaskPackage:
    """Make the package of the task that is due at `due`.

    Raises ValueError or PackageError with the reason when the row makes none.
    """
    found = read(schedule.args, schedule.kwargs, schedule.sealed)
    options = _options(schedule, found)
    package: Any = build_package(schedule.func, (), {}, options)
    check_followers(package)
    kwargs = found.kwargs
    if schedule.intended_date_kwarg:
        more = {schedule.intended_date_kwarg: due.isoformat()}
        kwargs = kwargs.with_more(more) if isinstance(kwargs, Deferred) else kwargs | more
    package |= {"id": task_id, "args": found.args, "kwargs": kwargs}
    if "task_name" not in options:
        package["name"] = humanize(task_id)
    if package.get("unique") is True:
        package["unique"] = f"schedule {schedule.pk}"
    if package.get("unique_else") == "raise":
        package["unique_else"] = "skip"  # there is nobody to raise to
    # JSON has no form for what is not opened, nor has django-q2.
    if signals.pre_enqueue.receivers or Conf.LEGACY == "write" or Conf.SERIALIZER == "json":
        _open(package, soft_limit)
        _send_signal(package, soft_limit)
    return package  # type: ignore[no-any-return]


def _options(schedule: Schedule, found: Arguments) -> dict[str, Any]:
    """Give the options of the task; takes them out of what is found, as `async_task` does."""
    if isinstance(found.kwargs, dict):
        found.kwargs["q_options"] = found.options
        options = take_options(found.kwargs)
    else:
        options = take_options({"q_options": found.options})
    for name in ("sync", "broker"):  # not for a cluster
        options.pop(name, None)
    queue = options.get("cluster") or schedule.cluster
    if queue:
        options["cluster"] = str(queue)
    if schedule.hook:
        options["hook"] = schedule.hook
    options["group"] = options.get("group") or schedule.name or str(schedule.pk)
    return options


def _open(package: Any, soft_limit: SoftLimit) -> None:
    """Open the arguments, for receivers and for django-q2's workers. Raises ValueError."""
    deferred = {name: part for name, part in package.items() if isinstance(part, Deferred)}
    if not deferred:
        return
    try:
        with soft_limit.within(_USER_CODE_LIMIT, "Opening them"):
            package |= {name: part.open() for name, part in deferred.items()}
    except (Exception, TimeoutException) as error:  # unpickling runs any code
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"Its arguments cannot be opened: {reason}") from error
    if Conf.SERIALIZER == "json" and Conf.LEGACY != "write":
        _check_json({name: package[name] for name in deferred})


def _check_json(opened: dict[str, Any]) -> None:
    """Raise ValueError, with what to do, where what was a pickle cannot go as JSON."""
    try:
        signing.serialized(opened, "json")
    except Exception as error:  # code of the values
        raise ValueError(
            "Its arguments were kept as a pickle, before Q_CLUSTER[\"serializer\"] was 'json', and "
            f"cannot be written as JSON: {error}. Make the schedule anew with values that have a "
            "form in JSON, or set the serializer to 'pickle' again and enable the schedule."
        ) from error


def _send_signal(package: TaskPackage, soft_limit: SoftLimit) -> None:
    try:
        with soft_limit.within(_USER_CODE_LIMIT, "A receiver of pre_enqueue"):
            send_signal(signals.pre_enqueue, task=package)
    except TimeoutException as error:
        logger.error(
            "%s [%s]: %s; it is enqueued all the same", package["name"], package["id"], error
        )
