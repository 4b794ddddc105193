"""The screen of `qmonitor`, for a terminal of any size, and its plain form for a pipe. Pure."""

import dataclasses
from collections.abc import Iterator, Sequence

from django_q import __version__
from django_q.conf import Conf
from django_q.monitor.paint import Brush, Paint
from django_q.monitor.text import (
    count_text,
    cut,
    cut_start,
    duration_text,
    fill,
    local_text,
    table,
    text_width,
)
from django_q.monitor.watch import Sight
from django_q.status import Stat, WorkerState
from django_q.texts import gettext as _

#: Columns of the plain form, and the fewest that a screen is laid out for.
_WIDTH = 80
_LEAST_WIDTH = 60
#: Rows that clusters and queues take on a screen, at most, so that workers have room.
_MOST_CLUSTERS = 6
_MOST_QUEUES = 5
#: Bars from low to high, for terminals with and without Unicode.
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-:=+*#"


@dataclasses.dataclass(frozen=True)
class View:
    """What the person at the terminal chose, and what the terminal can show."""

    width: int = _WIDTH
    height: int = 24
    #: Id of the chosen cluster; the first one, if it is not there.
    chosen: str = ""
    is_held: bool = False
    has_unicode: bool = True


def snapshot_lines(sight: Sight, paint: Paint) -> Iterator[str]:
    """Give the plain form: every cluster with all of its workers."""
    width = _WIDTH
    yield paint.heading(_title(sight, width))
    if sight.problem:
        yield ""
        yield paint.warning(cut(sight.problem, width))
    for stat in sight.clusters:
        yield ""
        yield paint.heading(cut(f"{stat.name}  {stat.host}  {stat.pid}", width))
        yield cut(f"  {_cluster_words(stat)}", width)
        yield from (f"  {line}" for line in _workers(stat, sight, width - 2, paint))
    if not sight.clusters and not sight.problem:
        yield ""
        yield paint.warning(no_cluster())
    if sight.queues:
        yield ""
        yield paint.heading(_("Queues"))
        yield from (f"  {line}" for line in _queues(sight, width - 2, paint))
    yield ""
    yield from _sum_lines(sight, width)


def screen_lines(sight: Sight, view: View, paint: Paint) -> list[str]:
    """Give the lines of the screen, as many as the terminal has, none wider than it is."""
    if view.width < _LEAST_WIDTH:
        wide = dataclasses.replace(view, width=_LEAST_WIDTH)
        return [cut(line.rstrip(), view.width) for line in screen_lines(sight, wide, Paint())]
    width = view.width
    stat = chosen_cluster(sight, view.chosen)
    top = [paint.bar(f" {_title(sight, width - 2)} "), *_meter(sight, view, width, paint)]
    if sight.problem:
        top.append(paint.warning(cut(f"  {sight.problem}", width)))
    top += _block(_("Clusters"), _clusters(sight, stat, width - 2, paint), width, paint)
    bottom = _block(_("Queues"), list(_queues(sight, width - 2, paint)), width, paint)
    bottom += ["", *(cut(line, width) for line in _sum_lines(sight, width))]
    room = view.height - len(top) - len(bottom) - 3
    middle = []
    if stat is not None and room > 1:
        title = _("Workers of %(name)s") % {"name": stat.name}
        lines = list(_workers(stat, sight, width - 2, paint))
        middle = _block(title, _shortened(lines, room), width, paint)
    lines = (top + middle + bottom)[: view.height - 1]
    lines += [""] * (view.height - 1 - len(lines))
    return [*lines, paint.bar(fill(_keys(view), width))]


def chosen_cluster(sight: Sight, chosen: str) -> Stat | None:
    """Give the chosen cluster, the first one if it is gone, None without any."""
    found = [stat for stat in sight.clusters if str(stat.cluster_id) == chosen]
    return next(iter([*found, *sight.clusters]), None)


def no_cluster() -> str:
    """Say what to do where nothing runs."""
    return _("No cluster is running. Start one: python manage.py qcluster")


# Parts.


def _title(sight: Sight, width: int) -> str:
    moment = local_text(sight.moment)
    title = f"Django Q {__version__}  {sight.project}  {sight.broker}"
    return f"{fill(title, width - len(moment) - 2)}  {moment}"


def _keys(view: View) -> str:
    hold = _("p Go on") if view.is_held else _("p Hold")
    words = [_("q Quit"), _("Up/Down Cluster"), hold, *([_("HELD")] if view.is_held else [])]
    return " " + "   ".join(words)


def _block(title: str, lines: Sequence[str], width: int, paint: Paint) -> list[str]:
    return ["", paint.heading(cut(title, width)), *(f"  {line}" for line in lines)]


def _shortened(lines: list[str], room: int) -> list[str]:
    if len(lines) <= room:
        return lines
    hidden = len(lines) - room + 1
    return [*lines[: room - 1], _("and %(number)s more") % {"number": f"{hidden:,}"}]


def _meter(sight: Sight, view: View, width: int, paint: Paint) -> list[str]:
    """Give the line of tasks a second, with its history as bars."""
    if not sight.history:
        return [""]
    words = _("Tasks a second: %(number)s") % {"number": _rate(sight.history[-1])}
    words = f"  {fill(words, max(28, text_width(words)))}  "
    bars = _BARS if view.has_unicode else _PLAIN_BARS
    recent = list(sight.history)[-max(width - text_width(words) - 2, 1) :]
    highest = max(*recent, 1.0)
    drawn = "".join(bars[min(int(rate / highest * len(bars)), len(bars) - 1)] for rate in recent)
    return [f"{words}{paint.busy(drawn)}"]


def _rate(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 9.95 or not rate else f"{rate:.1f}"


def _clusters(sight: Sight, chosen: Stat | None, width: int, paint: Paint) -> list[str]:
    if not sight.clusters:
        return [] if sight.problem else [paint.warning(cut(no_cluster(), width))]
    place = next((n for n, stat in enumerate(sight.clusters) if stat is chosen), 0)
    first = max(0, min(place - _MOST_CLUSTERS // 2, len(sight.clusters) - _MOST_CLUSTERS))
    shown = sight.clusters[first : first + _MOST_CLUSTERS]
    rows = [_cluster_row(stat, sight) for stat in shown]
    titles = [_("Name"), _("Queue"), _("Host"), _("Busy"), _("Tasks/s"), _("Up"), _("Status")]
    spare = width - 78
    widths = (19 + spare // 2, 11 + spare // 4, 10 + spare - spare // 2 - spare // 4, 7, 7, 8, 10)
    title, *lines = table(titles, rows, widths=widths, right={3, 4, 5})
    painted = [
        _brush(stat, stat is chosen, paint)(fill(line, width))
        for stat, line in zip(shown, lines, strict=True)
    ]
    return [paint.faint(title), *painted]


def _brush(stat: Stat, is_chosen: bool, paint: Paint) -> Brush:
    if is_chosen:
        return paint.chosen
    return paint.faint if stat.status == Conf.STOPPED else str


def _cluster_row(stat: Stat, sight: Sight) -> list[str]:
    up = duration_text(stat.uptime())
    rate = _rate(sight.rates.get(str(stat.cluster_id)))
    return [stat.name, ", ".join(stat.served), stat.host, _busy(stat), rate, up, str(stat.status)]


def _busy(stat: Stat) -> str:
    busy = sum(worker.get("state") == "busy" for worker in stat.worker_states)
    return f"{busy}/{len(stat.workers)}"


def _cluster_words(stat: Stat) -> str:
    words = {
        "queue": ", ".join(stat.served),
        "status": stat.status,
        "time": duration_text(stat.uptime()),
        "busy": _busy(stat),
    }
    return _("Queue %(queue)s, %(status)s, up %(time)s, %(busy)s workers busy") % words


def _workers(stat: Stat, sight: Sight, width: int, paint: Paint) -> Iterator[str]:
    states = sorted(stat.worker_states, key=lambda worker: worker.get("slot", 0))
    titles = [_("Pid"), _("State"), _("Task"), _("Function"), _("For"), _("Done")]
    spare = width - 78
    widths = (7, 9, 20 + spare // 2, 21 + spare - spare // 2, 8, 8)
    rows = [_worker_row(worker, sight, widths[3]) for worker in states]
    title, *lines = table(titles, rows, widths=widths, right={0, 4, 5})
    yield paint.faint(title)
    for worker, line in zip(states, lines, strict=True):
        yield paint.busy(line) if worker.get("state") == "busy" else line


def _worker_row(worker: WorkerState, sight: Sight, func_width: int) -> list[str]:
    since = worker.get("since")
    took = "" if since is None else duration_text(sight.moment.timestamp() - since)
    words = {"booting": _("starts"), "idle": _("idle"), "busy": _("busy")}
    state = words.get(worker.get("state", ""), _("stops"))
    task = worker.get("task_name") or ""
    func = cut_start(worker.get("func") or "", func_width)
    return [str(worker["pid"]), state, task, func, took, f"{worker.get('done', 0):,}"]


def _queues(sight: Sight, width: int, paint: Paint) -> Iterator[str]:
    titles = [_("Queue"), _("Waiting"), _("Leased"), _("Clusters")]
    rows = [
        [
            queue.name,
            count_text(queue.waiting),
            "-" if queue.leased is None else f"{queue.leased:,}",
            str(queue.clusters),
        ]
        for queue in sight.queues
    ]
    shown = rows[:_MOST_QUEUES]
    title, *lines = table(titles, shown, widths=(width - 42, 13, 13, 13), right={1, 2, 3})
    yield paint.faint(title)
    for queue, line in zip(sight.queues, lines, strict=False):
        yield line if queue.clusters else paint.warning(line)
    if len(rows) > len(shown):
        yield _("and %(number)s more") % {"number": f"{len(rows) - len(shown):,}"}


def _sum_lines(sight: Sight, width: int) -> Iterator[str]:
    """Give the lines about results and schedules."""
    if sight.tasks is not None:
        words = {"good": f"{sight.tasks.successes:,}", "bad": f"{sight.tasks.failures:,}"}
        yield cut(_("Tasks: %(good)s successful, %(bad)s failed") % words, width)
    schedules = sight.schedules
    if schedules is not None:
        words = {name: f"{getattr(schedules, name):,}" for name in ("active", "overdue", "broken")}
        text = _("Schedules: %(active)s active, %(overdue)s overdue, %(broken)s broken") % words
        yield cut(text, width)
        due = schedules.next_run
        if due is not None and due > sight.moment:
            wait = duration_text((due - sight.moment).total_seconds())
            yield _("The next one is due in %(time)s.") % {"time": wait}
