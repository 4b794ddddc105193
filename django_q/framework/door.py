"""`Door`: our part of a backend. Producers use it; workers ask it for what they call."""

import contextlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from django.apps import apps
from django.core import checks
from django.db import router, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from django_q import signals
from django_q.brokers import broker_path
from django_q.conf import Conf
from django_q.elements import check_followers
from django_q.enqueue import hand_over
from django_q.exceptions import ConfigurationError, PackageError
from django_q.executor import send_signal
from django_q.framework.calls import TaskCall
from django_q.framework.family import Family, family
from django_q.framework.results import (
    ready_result,
    result_of_row,
    result_of_tracked,
    with_values,
)
from django_q.framework.task_class import TASK_OPTIONS, due, options_of, with_fields
from django_q.models import Task, Tracked
from django_q.options import take_options
from django_q.package import TaskPackage, build_package
from django_q.results.lookup import fetch_cached
from django_q.results.tracking import first_run_at

#: Keys of a backend's OPTIONS that are no options of tasks.
_OWN_OPTIONS = ("cluster", "TASKS")
#: Length of our ids: what has another one is not asked for.
_ID_LENGTH = 32
#: The framework's name for "no queue in particular".
_DEFAULT_QUEUE = "default"


class Door:
    """Sends the framework's tasks to our brokers, and shows our rows as its results.

    Mixed into the framework's `BaseTaskBackend`, which calls `__init__` and gives `alias`,
    `queues` and `options`.
    """

    #: Name of the framework's package.
    framework: ClassVar[str]
    alias: str
    queues: set[str]
    options: dict[str, Any]

    supports_defer = True
    supports_async_task = True
    supports_get_result = True

    @property
    def supports_priority(self) -> bool:
        """Whether the broker in use has priorities."""
        try:
            return bool(import_string(broker_path()).can_prioritise)
        except (ImportError, ConfigurationError):
            return True  # the call that needs the broker says what is missing

    @property
    def family(self) -> Family:
        """The classes of the framework."""
        return family(self.framework)

    def validate_task(self, task: Any) -> None:
        """Raise the framework's InvalidTask for what cannot be sent."""
        if isinstance(task.run_after, timedelta):
            task = with_fields(task, run_after=None)
        super().validate_task(task)  # type: ignore[misc]

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Send a task; gives its result, whose id is our task's.

        Raises TypeError for arguments that are not JSON, and what `async_task` raises. With
        `on_commit` it is sent when the transaction commits, and told of then; with `sync` it is
        over already.
        """
        self.validate_task(task)
        task = with_fields(task, run_after=due(task.run_after))
        normal = self.family.base.normalize_json
        package = build_package(
            task.module_path,
            tuple(normal(list(args))),
            normal(dict(kwargs)),
            take_options({"q_options": self.options_for(task)}),
        )
        check_followers(package)
        package["task_backend"] = self.alias
        result = ready_result(self.family, task, self.alias, package)
        self._send(package, result)
        return result

    def options_for(self, task: Any) -> dict[str, Any]:
        """Give the options of our task: the backend's, then those by its path, then its own."""
        options = {name: self.options[name] for name in TASK_OPTIONS if name in self.options}
        options |= self.options.get("TASKS", {}).get(task.module_path, {})
        options |= options_of(task)
        options |= {"cluster": self._queue_of(task.queue_name), "track": True}
        if task.priority:
            options["priority"] = task.priority
        if task.run_after is not None:
            options["run_at"] = due(task.run_after)
        return options

    def _send(self, package: TaskPackage, result: Any) -> None:
        send_signal(signals.pre_enqueue, task=package)
        with_values(result, enqueued_at=package["started"])
        enqueued = self.family.signals.task_enqueued
        if Conf.SYNC:
            enqueued.send(type(self), task_result=result)
            self._run_in_place(package, result)
            return
        is_later = package.get("on_commit", Conf.ON_COMMIT)
        (task_id,) = hand_over([package], None)
        if task_id != package["id"]:
            self._show_holder(result, task_id)
            return
        tell = partial(enqueued.send, type(self), task_result=result)
        if is_later:
            transaction.on_commit(tell, using=router.db_for_write(Tracked))
        else:
            tell()

    def _show_holder(self, result: Any, task_id: str) -> None:
        """Give the task that has the key of a unique one in its place."""
        with_values(result, id=task_id)
        with contextlib.suppress(self.family.no_result):  # over and unsaved, or of the other door
            result.refresh()

    def _run_in_place(self, package: TaskPackage, result: Any) -> None:
        try:
            (task_id,) = hand_over([package], None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # what the task raised is in its result
            try:
                result.refresh()
            except self.family.no_result:
                raise error from None
            return
        if task_id != package["id"]:
            self._show_holder(result, task_id)
            return
        try:
            result.refresh()
        except self.family.no_result:  # nothing of it is kept; it ran, and raised nothing
            status = self.family.base.TaskResultStatus.SUCCESSFUL
            with_values(result, status=status, finished_at=timezone.now())

    def get_result(self, result_id: str) -> Any:
        """Give a result by the id of our task. Raises TaskResultDoesNotExist.

        That is raised too for a result that was pruned, and for a task of the other door.
        """
        if not isinstance(result_id, str) or len(result_id) != _ID_LENGTH:
            raise self.family.no_result(result_id)
        tracked = Tracked.objects.filter(pk=result_id).first()
        # Asked second: a task that ends in between is in one of the two.
        row = Task.objects.filter(pk=result_id).first()
        if row is None and tracked is None and Conf.CACHE:
            row = fetch_cached(result_id)
        if row is not None and not row.success and tracked is not None:
            # It failed and comes back, or it ended in between.
            tracked = Tracked.objects.filter(pk=result_id).first()
        if row is not None and (row.success or tracked is None):
            task = self._task_of(row.func, result_id)
            task = self.as_sent(task, self.alias, row.cluster, row.priority, row.run_at)
            return result_of_row(self.family, task, self.alias, row)
        if tracked is None:
            raise self.family.no_result(result_id)
        order = (tracked.queue, tracked.priority, first_run_at(tracked))
        task = self.as_sent(self._task_of(tracked.func, result_id), self.alias, *order)
        return result_of_tracked(self.family, task, self.alias, tracked)

    def _task_of(self, path: str, result_id: str) -> Any:
        try:
            task = import_string(path)
        except ImportError as error:
            raise self.family.no_result(result_id) from error
        if not isinstance(task, self.family.base.Task):
            raise self.family.no_result(result_id)
        return task

    def as_sent(
        self,
        task: Any,
        alias: str,
        queue: str | None,
        priority: int | None,
        run_after: datetime | None,
    ) -> Any:
        """Give a task of a module with what one call of it said: where to, how urgent, and when."""
        said: dict[str, Any] = {"priority": priority or 0, "run_after": run_after}
        said |= {"backend": alias, "queue_name": self._name_of(queue)}
        # Most calls say nothing, and a copy costs more than a look.
        is_other = any(getattr(task, name) != value for name, value in said.items())
        return with_fields(task, **said) if is_other else task

    def _queue_of(self, name: str) -> str:
        """Give our queue for a queue name of the framework."""
        if name != _DEFAULT_QUEUE:
            return name
        if self.options.get("cluster"):
            return str(self.options["cluster"])
        return name if name in (Conf.QUEUES or ()) else str(Conf.CLUSTER_NAME)

    def _name_of(self, queue: str | None) -> str:
        is_default = queue is None or queue == self._queue_of(_DEFAULT_QUEUE)
        return _DEFAULT_QUEUE if is_default else str(queue)

    def call_of(self, task: Any) -> TaskCall:
        """Give what a worker calls for a task."""
        return TaskCall(task, self, self.family)

    def check(self, **kwargs: Any) -> Iterable[checks.CheckMessage]:
        """Tell what is wrong with the settings of this backend, as a system check."""
        where = f'TASKS["{self.alias}"]'
        if not apps.is_installed("django_q"):
            hint = 'Add "django_q" to INSTALLED_APPS.'
            yield checks.Error(f"{where} needs django_q.", hint=hint, id="django_q.E050")
        for key in sorted(set(self.options) - {*_OWN_OPTIONS, *TASK_OPTIONS}, key=str):
            yield checks.Error(
                f'{where}["OPTIONS"] has the unknown key {key!r}.',
                hint=f"The keys are {', '.join((*_OWN_OPTIONS, *TASK_OPTIONS))}.",
                id="django_q.E051",
            )
        own = {key: value for key, value in self.options.items() if key in TASK_OPTIONS}
        by_path = self.options.get("TASKS", {})
        for place, values in {'["OPTIONS"]': own, **by_path}.items():
            yield from self._check_values(f"{where} ({place})", values)

    def _check_values(self, where: str, values: Any) -> Iterable[checks.CheckMessage]:
        try:
            if unknown := set(values) - set(TASK_OPTIONS):
                raise PackageError(f"There is no option {min(unknown, key=str)!r}.")
            check_followers(build_package("module.function", (), {}, values))
        except (PackageError, TypeError) as error:
            hint = f"The options are {', '.join(TASK_OPTIONS)}."
            yield checks.Error(f"{where}: {error}", hint=hint, id="django_q.E052")
