"""Figures as plain text of at most 80 columns, the same in a terminal and in a pipe. Pure."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from django_q import __version__
from django_q.monitor.overview import Overview, Schedules, Tasks, running
from django_q.monitor.text import count_text, cut, cut_start, duration_text, fill, local_text, table
from django_q.status import Stat
from django_q.texts import gettext as _

#: Columns of a screen.
_WIDTH = 80
#: Running tasks that are shown, those that run longest.
_RUNNING = 5


def overview_lines(
    overview: Overview, heading: Callable[[str], str] = str, warning: Callable[[str], str] = str
) -> Iterator[str]:
    """Give the lines of the screen; `heading` and `warning` may colour them."""
    moment = local_text(overview.moment)
    title = f"Django Q {__version__}  {overview.project}  {overview.broker}"
    yield heading(f"{fill(title, _WIDTH - len(moment) - 2)}  {moment}")
    sections = (
        (_("Clusters"), _clusters(overview.clusters, warning)),
        (_("Running"), _running(overview.clusters, overview.moment)),
        (_("Queues"), _queues(overview, warning)),
        (_("Tasks"), _tasks(overview.tasks)),
        (_("Schedules"), _schedules(overview.schedules, overview.moment, warning)),
    )
    for title, lines in sections:
        found = list(lines)
        if found:
            yield ""
            yield heading(title)
            yield from (f"  {line}" for line in found)


def _clusters(clusters: Sequence[Stat], warning: Callable[[str], str]) -> Iterator[str]:
    if not clusters:
        yield warning(_("No cluster is running. Start one: python manage.py qcluster"))
        return
    rows = []
    for stat in clusters:
        busy = sum(worker.get("state") == "busy" for worker in stat.worker_states)
        workers = f"{busy}/{len(stat.workers)}"
        up = duration_text(stat.uptime())
        queues = ", ".join(stat.served)
        rows.append([stat.name, queues, stat.host, str(stat.pid), workers, up, str(stat.status)])
    titles = [_("Name"), _("Queue"), _("Host"), _("Pid"), _("Busy"), _("Up"), _("Status")]
    yield from table(titles, rows, widths=(20, 10, 10, 7, 7, 8, 10), right={3, 4, 5})
    replaced = sum(stat.reincarnations for stat in clusters)
    if replaced:
        yield _("%(number)s workers were replaced since the start.") % {"number": f"{replaced:,}"}


def _running(clusters: Sequence[Stat], now: datetime) -> Iterator[str]:
    tasks = running(clusters)
    rows = [
        [task.name, cut_start(task.func, 30), str(task.worker.rpartition(":")[2]),
         duration_text((now - task.since).total_seconds())]
        for task in tasks[:_RUNNING]
    ]  # fmt: skip
    if rows:
        titles = [_("Task"), _("Function"), _("Worker"), _("For")]
        yield from table(titles, rows, widths=(28, 30, 8, 8), right={2, 3})
    if len(tasks) > _RUNNING:
        yield _("and %(number)s more") % {"number": f"{len(tasks) - _RUNNING:,}"}


def _queues(overview: Overview, warning: Callable[[str], str]) -> Iterator[str]:
    rows = [
        [
            queue.name,
            count_text(queue.waiting),
            "-" if queue.leased is None else f"{queue.leased:,}",
            str(queue.clusters),
        ]
        for queue in overview.queues
    ]
    titles = [_("Queue"), _("Waiting"), _("Leased"), _("Clusters")]
    yield from table(titles, rows, widths=(36, 12, 12, 10), right={1, 2, 3})
    for queue in overview.queues:
        # Without any cluster that has been said already.
        if overview.clusters and not queue.clusters:
            yield warning(
                _("No cluster serves the queue %(name)s.") % {"name": cut(queue.name, 46)}
            )


def _tasks(tasks: Tasks) -> Iterator[str]:
    rows = [
        [_("Successful"), f"{tasks.successes:,}"],
        [_("Failed"), f"{tasks.failures:,}"],
        [_("Successful in the last 24 hours"), f"{tasks.last_day:,}"],
    ]
    if tasks.mean_duration is not None:
        rows.append([_("Their mean duration"), duration_text(tasks.mean_duration)])
    yield from table([], rows, widths=(40, 12), right={1})


def _schedules(schedules: Schedules, now: datetime, warning: Callable[[str], str]) -> Iterator[str]:
    rows = [[_("Active"), f"{schedules.active:,}"]]
    if schedules.next_run is not None and schedules.next_run > now:
        rows.append([_("Next in"), duration_text((schedules.next_run - now).total_seconds())])
    for title, number in ((_("Paused"), schedules.paused), (_("Broken"), schedules.broken)):
        if number:
            rows.append([title, f"{number:,}"])
    rows.append([_("Overdue"), f"{schedules.overdue:,}"])
    yield from table([], rows, widths=(40, 12), right={1})
    for name, due in schedules.overdue_first:
        late = duration_text((now - due).total_seconds())
        words = {"name": cut(name, 46), "time": late}
        yield warning(_("%(name)s is overdue for %(time)s.") % words)
    for name, error in schedules.broken_first:
        words = {"name": cut(name, 30), "error": error}
        yield warning(cut(_("%(name)s is broken: %(error)s") % words, _WIDTH - 2))
