"""What comes in: F29, F31."""

import pickle
import time

from django.test import override_settings

from django_q import signing
from django_q.models import Rejected, Task
from django_q.package import build_package
from django_q.sealed import seal_package
from django_q.tasks import async_tasks
from tests.faults.arena import Arena
from tests.faults.scenario import scenario
from tests.site import tasks
from tests.waiting import wait_until


@scenario("F29")
def malformed_packages_among_good_ones(arena: Arena) -> None:
    """Malformed packages among good traffic: mutations, wrong key, purpose, queue, pickles."""
    arena.settings |= {"open_timeout": 1.0}
    cluster = arena.cluster()
    broker, queue = arena.broker, arena.broker.list_key
    bad = list(dict.fromkeys(_malformed(arena, queue)))
    arena.send(arena.tasks // 2)
    broker.enqueue_many(bad)
    arena.send(arena.tasks - arena.tasks // 2)
    # First: nothing that records its end may come for long while these are refused.
    wait_until(lambda: Rejected.objects.count() >= len(bad), 240, pause=0.2, what="all of them")
    arena.wait_done()

    arena.findings.exactly("kept", Rejected.objects.count(), len(bad))
    arena.count(dup=0)
    # One that hangs in C code may end its worker; none of the others may.
    arena.findings.at_most("deaths", cluster.log().count("] died ("), 3)


def _malformed(arena: Arena, queue: str) -> list[str]:
    package = build_package("tests.site.tasks.noop", (), {}, {})
    good = seal_package(package, queue)
    count = 2 * arena.times(5000)
    found = []
    for _ in range(count):
        place = arena.random.randrange(len(good))
        letter = chr(arena.random.randrange(33, 127))
        cut = arena.random.choice((good[:place], good[:place] + letter + good[place + 1 :]))
        found.append(cut if cut and cut != good else f"x{good}")
    found += [
        signing.seal(package, "stat", queue),
        signing.seal(package, "task", "another queue"),
        *(signing.seal(value, "task", queue) for value in ("text", 7, None, [], {}, {"id": 5})),
        signing.seal({**package, "func": 7}, "task", queue),
        signing.seal({**package, "id": "x" * 33}, "task", queue),
        signing.seal(tasks.RunsWhenOpened(tasks.fail), "task", queue),
        signing.seal(tasks.RunsWhenOpened(tasks.leave), "task", queue),
        signing.seal(tasks.RunsWhenOpened(tasks.sleep, 100), "task", queue),
        "~p." + pickle.dumps(package).hex(),
        "",
    ]
    with override_settings(SECRET_KEY="another"):
        found.append(seal_package(package, queue))
    return [text for text in found if text]


@scenario("F31")
def the_secret_key_is_rotated(arena: Arena) -> None:
    """SECRET_KEY rotated with tasks queued: the old one stays among the fallbacks."""
    with override_settings(SECRET_KEY="the one before"):
        async_tasks("tests.site.tasks.noop", [()] * arena.tasks)
    arena.cluster()
    wait_until(lambda: Rejected.objects.count() == arena.tasks, 120, pause=0.2, what="refusals")
    began = time.monotonic()
    arena.findings.exactly("run without", Task.objects.count(), 0)
    arena.findings.exactly("kept", Rejected.objects.count(), arena.tasks)
    arena.findings.holds("re-admittable", Rejected.objects.exclude(payload="").exists())
    arena.findings.at_most("checked in", time.monotonic() - began, 30.0, " s")
