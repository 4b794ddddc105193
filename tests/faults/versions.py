"""Packages of another release, and of another state of the project: F30."""

import json
import os

from django.conf import settings as django_settings

from django_q.models import Rejected, Task
from django_q.tasks import async_tasks
from tests.compat.environments import Project, python_of
from tests.faults.arena import Arena
from tests.faults.scenario import scenario
from tests.site import databases
from tests.waiting import wait_until

#: Where packages come from: installed by pip into an environment of its own.
OLD = "django-q2 1.11.0"
#: Packages of each kind whose function or class is gone.
GONE = 20
#: What a connection needs, of an entry of `DATABASES`.
_KEYS = ("ENGINE", "NAME", "HOST", "PORT", "USER", "PASSWORD")


@scenario("F30", ("redis", "postgres"))
def packages_come_from_another_version(arena: Arena) -> None:
    """Version skew: packages of django-q2, a renamed function, a class that was removed."""
    old = _old_project(arena)
    count = arena.tasks // 2
    try:
        sent = set(old.do("send_many", count))
        renamed = {old.do("send", "tests.site.tasks.name_of_yesterday") for _ in range(GONE)}
        old.do("send_with_lost_class", GONE)
    finally:
        old.close()
    renamed |= set(async_tasks("tests.site.tasks.name_of_yesterday", [()] * GONE))
    arena.send()
    cluster = arena.cluster()
    arena.wait_done()

    done = Task.objects.filter(pk__in=sent, success=True)
    wait_until(lambda: done.count() == count, 60, what="the packages of django-q2")
    arena.findings.exactly("of django-q2 run", done.count(), count)
    unknown = Task.objects.filter(pk__in=renamed, success=False)
    wait_until(lambda: unknown.count() == len(renamed), 60, what="the renamed function's failures")
    told = [str(row.result) for row in unknown if "cannot be found" in str(row.result)]
    arena.findings.exactly("renamed, and told", len(told), 2 * GONE)
    wait_until(lambda: Rejected.objects.count() == GONE, 60, what="what cannot be opened")
    reasons = [row.reason for row in Rejected.objects.all()]
    kept = sum("module_of_yesterday" in reason for reason in reasons)
    arena.findings.exactly("of a lost class kept, and told", kept, GONE)
    arena.findings.exactly("deaths", cluster.log().count("] died ("), 0)
    arena.count(dup=0)


def _old_project(arena: Arena) -> Project:
    """Give a project on django-q2, which shares queue, database and key with ours."""
    alias = os.environ[databases.CHOICE]
    entry = django_settings.DATABASES[alias]
    place = {key: arena.settings[key] for key in ("redis", "name") if key in arena.settings}
    if "orm" in arena.settings:
        place["orm"] = "default"
    return Project(
        "old",
        python_of(OLD),
        arena.folder,
        place,
        PROJECT_DATABASE=json.dumps({key: entry[key] for key in _KEYS if key in entry}),
        PROJECT_CACHE=os.path.join(os.environ["TEST_DIR"], "cache"),
    )
