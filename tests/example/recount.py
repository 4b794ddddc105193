"""Run inside the site: what the latest survey left behind, and the same work without any queue."""

import json
from concurrent.futures import ProcessPoolExecutor

import django


def main() -> None:
    """Print it."""
    django.setup()
    from django_q.models import Task
    from survey.models import Survey
    from survey.report import report
    from survey.tasks import analyse, library_files

    survey = Survey.objects.get()
    rows = Task.objects.filter(group=survey.group)
    calls = [tuple(task.args) for task in rows]
    with ProcessPoolExecutor(2) as pool:
        plain = report(pool.map(analyse, library_files(), chunksize=20))
    found = {
        "total": survey.total,
        "rows": rows.count(),
        "failed": sorted(rows.filter(success=False).values_list("func", flat=True)),
        "files": len({call[0] for call in calls if call}),
        "digest": report(survey.results()).digest,
        "digest_without_queue": plain.digest,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
