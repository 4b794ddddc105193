"""Start a survey: hand every file to the cluster, in one call."""

from uuid import uuid4

from django_q.tasks import async_task, async_tasks, delete_group
from survey import tasks
from survey.models import Survey

#: Names of the two tasks that show what failure looks like.
FAILS, TOO_LONG = MEANT_TO_FAIL = ("Fails on purpose", "Exceeds its time limit")

#: Seconds given to the task that wants more.
LIMIT = 2

#: Surveys that are kept. Each has a result for every file, so they would fill the database.
KEPT = 3


def start_survey() -> Survey:
    """The new survey, whose tasks are now waiting for a cluster."""
    paths = tasks.library_files()
    group = uuid4().hex
    # The row first: a fast cluster may be done with tasks before the last one is enqueued.
    survey = Survey.objects.create(group=group, total=len(paths) + len(MEANT_TO_FAIL))
    async_task(tasks.fail_on_purpose, group=group, task_name=FAILS)
    async_task(tasks.exceed_the_limit, group=group, task_name=TOO_LONG, timeout=LIMIT)
    async_tasks(tasks.analyse, paths, group=group)
    _forget_old_surveys()
    return survey


def _forget_old_surveys() -> None:
    for survey in Survey.objects.all()[KEPT:]:
        delete_group(survey.group, tasks=True)
        survey.delete()
