"""The screen of `qmemory`. Pure."""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime

from django_q import __version__
from django_q.monitor.memory_use import ClusterMemory, Machine, Process
from django_q.monitor.paint import Paint
from django_q.monitor.text import cut, fill, local_text, size_text, table
from django_q.monitor.watch_screen import no_cluster
from django_q.texts import gettext as _
from django_q.texts import ngettext

#: Columns of the plain form, and the fewest that a screen is laid out for.
_WIDTH = 80
_LEAST_WIDTH = 60


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read at one moment."""

    moment: datetime
    project: str
    clusters: Sequence[ClusterMemory]
    machine: Machine
    #: Why nothing could be read.
    problem: str = ""


def memory_lines(
    reading: Reading, paint: Paint, *, with_workers: bool, width: int = _WIDTH
) -> Iterator[str]:
    """Give the lines: a row for each cluster; `with_workers` one for each process."""
    yield paint.heading(_title(reading, width))
    if reading.problem:
        yield ""
        yield paint.warning(cut(reading.problem, width))
    elif not reading.clusters:
        yield ""
        yield paint.warning(cut(no_cluster(), width))
    elif with_workers:
        for cluster in reading.clusters:
            yield ""
            yield paint.heading(cut(f"{cluster.stat.name}  {cluster.stat.host}", width))
            yield from (f"  {line}" for line in _process_rows(cluster, width - 2, paint))
    else:
        yield ""
        yield from (f"  {line}" for line in _cluster_rows(reading.clusters, width - 2, paint))
    yield ""
    yield from (cut(line, width) for line in _footer(reading))


def screen_lines(
    reading: Reading, paint: Paint, *, with_workers: bool, size: tuple[int, int]
) -> list[str]:
    """Give a full screen of the same, with a line of keys at its foot."""
    width, height = size
    if width < _LEAST_WIDTH:
        wide = (_LEAST_WIDTH, height)
        lines = screen_lines(reading, Paint(), with_workers=with_workers, size=wide)
        return [cut(line.rstrip(), width) for line in lines]
    plain = Paint(warning=paint.warning, faint=paint.faint, busy=paint.busy, heading=paint.heading)
    lines = list(memory_lines(reading, plain, with_workers=with_workers, width=width))
    lines[0] = paint.bar(f" {_title(reading, width - 2)} ")
    lines = lines[: height - 1]
    lines += [""] * (height - 1 - len(lines))
    keys = [_("q Quit"), _("w Clusters") if with_workers else _("w Workers")]
    return [*lines, paint.bar(fill(" " + "   ".join(keys), width))]


def _title(reading: Reading, width: int) -> str:
    moment = local_text(reading.moment)
    words = _("Memory")
    title = f"Django Q {__version__}  {reading.project}  {words}"
    return f"{fill(title, width - len(moment) - 2)}  {moment}"


def _cluster_rows(clusters: Sequence[ClusterMemory], width: int, paint: Paint) -> Iterator[str]:
    titles = [_("Name"), _("Queue"), _("Host"), _("Processes"), _("Resident"), _("Share")]
    spare = width - 78
    widths = (20 + spare // 2, 13 + spare // 4, 13 + spare - spare // 2 - spare // 4, 9, 9, 9)
    rows = []
    for cluster in clusters:
        stat, total = cluster.stat, cluster.total()
        number = str(len(cluster.processes))
        sizes = [_size(total.resident), _size(total.share)]
        rows.append([stat.name, ", ".join(stat.served), stat.host, number, *sizes])
    title, *lines = table(titles, rows, widths=widths, right={3, 4, 5})
    yield paint.faint(title)
    yield from lines


def _process_rows(cluster: ClusterMemory, width: int, paint: Paint) -> Iterator[str]:
    titles = [_("Process"), _("Pid"), _("Task"), _("Resident"), _("Share")]
    widths = (14, 8, width - 46, 10, 10)
    rows = [_process_row(process) for process in cluster.processes]
    total = cluster.total()
    sums = [_("together"), "", "", _size(total.resident), _size(total.share)]
    title, *lines, last = table(titles, [*rows, sums], widths=widths, right={1, 3, 4})
    yield paint.faint(title)
    yield from lines
    yield paint.busy(last)


def _process_row(process: Process) -> list[str]:
    roles = {
        "supervisor": _("supervisor"),
        "housekeeper": _("housekeeper"),
        "worker": _("worker"),
    }
    states = {"idle": _("idle"), "booting": _("starts"), "stopping": _("stops")}
    task = states.get(process.task, process.task)
    sizes = [_size(process.usage.resident), _size(process.usage.share)]
    return [roles[process.role], str(process.pid), task, *sizes]


def _footer(reading: Reading) -> Iterator[str]:
    if reading.clusters:
        yield _("Share: what processes share is divided among them, so it adds up.")
    away = sum(not cluster.is_here for cluster in reading.clusters)
    if away:
        text = ngettext(
            "%(number)d cluster is on another host: its memory is known there.",
            "%(number)d clusters are on other hosts: their memory is known there.",
            away,
        )
        yield text % {"number": away}
    machine = reading.machine
    if machine.total is not None and machine.available is not None:
        words = {"total": size_text(machine.total), "available": size_text(machine.available)}
        yield _("This host has %(total)s, of which %(available)s are available.") % words


def _size(size: int | None) -> str:
    return "-" if size is None else size_text(size)
