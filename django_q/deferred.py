"""`AsyncTask`: one task as an object, whose options are set before it runs."""

from typing import Any

from django_q.enqueue import async_task
from django_q.models import Task
from django_q.results import lookup


def _option(name: str, text: str) -> Any:
    def get(self: "AsyncTask") -> Any:
        inner = self.kwargs.get("q_options") or {}
        return inner.get(name, self.kwargs.get(name))

    def put(self: "AsyncTask", value: Any) -> None:
        holder = self.kwargs["q_options"] if self.kwargs.get("q_options") else self.kwargs
        holder[name] = value
        # What was started was started with the old value.
        self.started = False

    return property(get, put, doc=text)


class AsyncTask:
    """A task with settable options and its result; `run` may be called again."""

    broker = _option("broker", "The broker to use instead of the cluster's.")
    sync = _option("sync", "Run in place.")
    save = _option("save", "Keep the result of a success, or do not.")
    hook = _option("hook", "Called with the Task when it is done.")
    group = _option("group", "Label of tasks that belong together.")
    cached = _option("cached", "Keep the result in the cache: True, or for so many seconds.")

    def __init__(self, func: Any, *args: Any, **kwargs: Any) -> None:
        self.id = ""
        self.started = False
        self.func = func
        self.args = args
        self.kwargs = kwargs

    def run(self) -> str:
        """Start it; gives its id."""
        kwargs = dict(self.kwargs)
        if kwargs.get("q_options"):
            kwargs["q_options"] = dict(kwargs["q_options"])
        self.id = async_task(self.func, *self.args, **kwargs)
        self.started = True
        return self.id

    def result(self, wait: float = 0) -> Any:
        """Give the result, or None; `wait` in milliseconds."""
        return lookup.result(self.id, wait, self.cached) if self.started else None

    def fetch(self, wait: float = 0) -> Task | None:
        """Give the recorded Task, or None; `wait` in milliseconds."""
        return lookup.fetch(self.id, wait, self.cached) if self.started else None

    def result_group(
        self, failures: bool = False, wait: float = 0, count: int | None = None
    ) -> Any:
        """Give the results of the task's group."""
        if not (self.started and self.group):
            return None
        return lookup.result_group(self.group, failures, wait, count, self.cached)

    def fetch_group(self, failures: bool = True, wait: float = 0, count: int | None = None) -> Any:
        """Give the tasks of the task's group."""
        if not (self.started and self.group):
            return None
        return lookup.fetch_group(self.group, failures, wait, count, self.cached)
