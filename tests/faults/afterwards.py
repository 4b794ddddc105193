"""Hooks and receivers that take long, hang or raise: F46."""

import os

from django_q.models import Task
from django_q.tasks import async_task
from tests.faults.arena import Arena
from tests.faults.scenario import scenario
from tests.faults.systems import RECORD
from tests.waiting import wait_until

#: Soft limit and grace of the tasks whose hook or receiver hangs, in seconds.
LIMIT, GRACE = 2.0, 1.0
#: Tasks that the others run meanwhile: some 20 ms each, far less than what takes long.
OTHERS = 100
NOOP = "tests.site.tasks.noop"
#: What raises, what hangs, and what hangs and hears nothing.
HOOKS = {
    "failing": "tests.site.tasks.failing_hook",
    "hanging": "tests.site.tasks.hanging_hook",
    "deaf": "tests.site.odd.deaf_hook",
}
RECEIVERS = ("fail", "hang", "swallow")


@scenario("F46")
def what_follows_a_task_hangs_or_raises(arena: Arena) -> None:
    """A hook or receiver hangs or raises; post_execute sleeps 10 s."""
    noise = arena.folder / "noise"
    noise.touch()
    os.environ.update(TEST_APPS="tests.site.dozing.DozingConfig", TEST_NOISE=str(noise))
    try:
        cluster = arena.cluster(grace=GRACE)
    finally:
        del os.environ["TEST_APPS"], os.environ["TEST_NOISE"]
    async_task(NOOP, task_name="doze")
    wait_until(lambda: "began doze" in noise.read_text(), 20, what="the receiver that dozes")
    arena.send(OTHERS)
    wait_until(lambda: _stored() == OTHERS or "ended doze" in noise.read_text(), 60, what="both")
    arena.findings.exactly("stored meanwhile", _stored(), OTHERS)

    names = [*HOOKS, *RECEIVERS]
    options = {"timeout": LIMIT}
    ids = {name: async_task(NOOP, task_name=name, hook=HOOKS[name], **options) for name in HOOKS}
    ids |= {name: async_task(NOOP, task_name=name, **options) for name in RECEIVERS}
    arena.send(OTHERS)
    told = [_told(name, ids[name]) for name in names]
    wait_until(lambda: all(text in cluster.log() for text in told), 60, what="a line for each")
    arena.wait_done()

    arena.findings.exactly("told", sum(text in cluster.log() for text in told), len(names))
    kept = Task.objects.filter(pk__in=ids.values(), success=True).count()
    arena.findings.exactly("results kept", kept, len(names))
    # Those two hear nothing: their workers are killed at the hard limit.
    arena.findings.exactly("workers killed", cluster.log().count("died (hard limit)"), 2)
    arena.count(dup=0)


def _stored() -> int:
    return Task.objects.filter(func=RECORD).count()


def _told(name: str, task_id: str) -> str:
    return f"{name} [{task_id}]"
