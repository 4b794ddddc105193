"""The commands about queues, and those that scan: QLEN, QPEEK, QSTAT, PAUSE, QSCAN, JSCAN."""

import zlib
from typing import Any

from .disque_job_commands import Words, facts, number
from .disque_jobs import Job, State
from .disque_node import Node
from .disque_protocol import NIL_LIST, Refused, Status

#: How many places a scan goes through; a cursor names the next.
_PLACES = 1024
_NO_NUMBER = "value is not an integer or out of range"
_PAUSES = {b"none": set(), b"in": {"in"}, b"out": {"out"}, b"all": {"in", "out"}}  # type: ignore[var-annotated]
_STATES = {str(state).encode(): state for state in State}


def qlen(node: Node, words: Words) -> int:
    """Count the jobs that can be fetched here."""
    queue = node.jobs.queues.get(words[0])
    return len(queue.order) if queue else 0


def qpeek(node: Node, words: Words) -> list[Any]:
    """Show jobs that can be fetched: the oldest, or as many of the newest if negative."""
    count = number(words[1], -(2**62), 2**62, _NO_NUMBER)
    queue = node.jobs.queues.get(words[0])
    if queue is None:
        return []
    jobs = node.jobs.in_queue(queue, newest_first=count < 0)
    return [[job.queue, job.id, job.body] for _, job in zip(range(abs(count)), jobs, strict=False)]


def qstat(node: Node, words: Words) -> Any:
    """Tell all about a queue, names and values in turn."""
    queue = node.jobs.queues.get(words[0])
    if queue is None:
        return NIL_LIST
    now = node.jobs.clock()
    told = {
        "name": queue.name, "len": len(queue.order),
        "age": (now - queue.made) // 1000, "idle": (now - queue.used) // 1000,
        "blocked": sum(not future.done() for future in queue.waiting),
        "import-from": sorted(queue.givers), "import-rate": 0,
        "jobs-in": queue.jobs_in, "jobs-out": queue.jobs_out, "pause": queue.pause,
    }  # fmt: skip
    return [part for pair in told.items() for part in pair]


def pause(node: Node, words: Words) -> Status:
    """Stop or start what goes into a queue and out of it; the reply is how it stands then."""
    name, *options = words
    paused: set[str] | None = None
    is_everywhere = False
    for option in (word.lower() for word in options):
        if option == b"none":
            paused = set()
        elif option in _PAUSES:
            paused = (paused or set()) | _PAUSES[option]
        elif option == b"bcast":
            is_everywhere = True
        elif option != b"state":
            raise Refused("syntax error")
    known = node.jobs.queues.get(name)
    if paused is None:
        paused = known.paused if known else set()
    if known or paused:
        node.pause(name, paused, everywhere=is_everywhere)
    return Status(node.jobs.queues[name].pause if name in node.jobs.queues else "none")


# -- scans ---------------------------------------------------------------------------------------


class _Scan:
    """The options of a scan, and its way through everything, some of it with each call."""

    def __init__(self, words: Words, takes: tuple[bytes, ...]) -> None:
        self.options: dict[bytes, list[bytes]] = {}
        cursors = []
        rest = iter(words)
        for word in rest:
            name = word.lower()
            if name == b"busyloop":
                self.options[name] = []
            elif name in (b"count", *takes) and (value := next(rest, None)) is not None:
                self.options.setdefault(name, []).append(value)
            else:
                cursors.append(word)
        if len(cursors) > 1:
            raise Refused("syntax error")
        self._cursor = number((cursors or [b"0"])[0], 0, 2**64, "invalid cursor")
        self._count = self.number(b"count", 100)

    def number(self, name: bytes, default: int) -> int:
        """Give the value of an option."""
        values = self.options.get(name)
        return number(values[-1], -(2**62), 2**62, _NO_NUMBER) if values else default

    def over(self, found: dict[bytes, Any]) -> tuple[bytes, list[Any]]:
        """Give the next cursor, and what lies between the two."""
        places = sorted((zlib.crc32(key) % _PLACES, key) for key in found)
        places = [pair for pair in places if pair[0] >= self._cursor]
        if b"busyloop" in self.options or len(places) <= self._count:
            return b"0", [found[key] for _, key in places]
        # Whole places only, so that what stays is met once.
        last = places[self._count - 1][0] if self._count > 0 else self._cursor
        met = [found[key] for place, key in places if place <= last]
        return (b"%d" % (last + 1) if len(met) < len(places) else b"0"), met


def qscan(node: Node, words: Words) -> list[Any]:
    """Go through the names of the queues."""
    scan = _Scan(words, (b"minlen", b"maxlen", b"importrate"))
    shortest, longest = scan.number(b"minlen", 0), scan.number(b"maxlen", 2**62)
    queues = node.jobs.queues.values()
    fit = {q.name: q.name for q in queues if shortest <= len(q.order) <= longest}
    if scan.number(b"importrate", 0) > 0:
        fit = {name: name for name in fit if node.jobs.queues[name].givers}
    return list(scan.over(fit))


def jscan(node: Node, words: Words) -> list[Any]:
    """Go through the jobs that this node knows."""
    scan = _Scan(words, (b"queue", b"state", b"reply"))
    states = {_state(word) for word in scan.options.get(b"state", [])}
    queue = scan.options.get(b"queue", [None])[-1]  # type: ignore[list-item]
    reply = scan.options.get(b"reply", [b"id"])[-1].lower()
    if reply not in (b"id", b"all"):
        raise Refused("Invalid REPLY type, try ID or ALL")

    def fits(job: Job) -> bool:
        # Those without holders are acknowledgements of jobs that others have.
        is_asked_for = queue in (None, job.queue) and (not states or job.state in states)
        return bool(job.holders) and is_asked_for

    cursor, jobs = scan.over({job.id: job for job in node.jobs.jobs.values() if fits(job)})
    return [cursor, [facts(node, job) if reply == b"all" else job.id for job in jobs]]


def _state(word: bytes) -> State:
    if word.lower() not in _STATES:
        raise Refused("Invalid job state name")
    return _STATES[word.lower()]
