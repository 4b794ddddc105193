"""Tasks that harm their worker: F8, F9, F33."""

from pathlib import Path

from django_q.models import Task
from django_q.tasks import async_task
from tests.faults.arena import Arena
from tests.faults.scenario import scenario
from tests.waiting import wait_until

#: What kills, and what the failed row says of it.
POISON = {
    "tests.site.tasks.kill_self": "signal SIGKILL",
    "tests.site.tasks.segfault": "signal SIGSEGV",
    "tests.site.tasks.exit_now": "exit code 7",
}
#: What hangs, in every way there is.
HUNG = (
    ("tests.site.tasks.busy", ()),
    ("tests.site.tasks.sleep", (1e6,)),
    ("tests.site.tasks.long_call", ()),
    ("tests.site.tasks.swallow_everything", ()),
    ("tests.site.tasks.block_signals", ()),
)
LIMIT, GRACE = 2.0, 1.0


@scenario("F8")
def poison_among_good_tasks(arena: Arena) -> None:
    """Poison among the good tasks: SIGKILL to itself, segfault, os._exit(7)."""
    arena.cluster()
    marks = {path: str(arena.folder / path.rpartition(".")[2]) for path in POISON}
    arena.send(arena.tasks // 2)
    bad = {path: arena.system.enqueue(path, path=mark) for path, mark in marks.items()}
    arena.send(arena.tasks - arena.tasks // 2)
    arena.wait_done()

    outcome = arena.system.outcome
    for path, task_id in bad.items():
        name = path.rpartition(".")[2]
        with arena.noting_stalls():
            arena.wait_for(lambda id=task_id: outcome(id), 60, f"no row of {name}")
        success, text = outcome(task_id) or (False, "no row")
        runs = len(Path(marks[path]).read_text().splitlines())
        arena.findings.exactly(f"{name} runs", runs, 3)
        arena.findings.holds(
            f"{name} told", not success and POISON[path] in text, f"{name}: {text}"
        )
    arena.count(dup=0)


@scenario("F9")
def hung_tasks_end_at_their_limits(arena: Arena) -> None:
    """Hung: busy loop, sleep, C code, a task that catches everything."""
    arena.settings |= {"timeout": LIMIT, "grace": GRACE}
    arena.cluster()
    ids = [async_task(path, *args) for path, args in HUNG]
    arena.send(arena.tasks // 4)

    rows = wait_until(
        lambda: Task.objects.filter(pk__in=ids, success=False).count() == len(ids), 40, what="rows"
    )
    assert rows
    found = Task.objects.filter(pk__in=ids)
    arena.findings.exactly("causes", sorted({row.cause for row in found}), ["timeout"])
    arena.wait_done()
    arena.count(dup=0)


@scenario("F33")
def leaking_workers_are_replaced(arena: Arena) -> None:
    """Each task leaks 5 MB, max_rss 200 MB."""
    arena.settings |= {"max_rss": 200_000}
    arena.cluster()
    leaks = 300
    ids = [async_task("tests.site.odd.leak", 5_000_000) for _ in range(leaks)]
    arena.send(arena.tasks // 10)
    wait_until(
        lambda: Task.objects.filter(pk__in=ids, success=True).count() == leaks, 120, what="leaks"
    )
    arena.wait_done()
    arena.count(dup=0)
    replaced = arena.log().count("is replaced: it uses")
    arena.findings.at_least("replaced", replaced, 3)
