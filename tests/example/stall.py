"""Run inside the site: a demo whose survey never moves. Its exit code is the demo's."""

import sys

import django


def main() -> int:
    """Run the demo with little patience and a survey that has no tasks."""
    django.setup()
    from demonstration import show
    from survey.models import Survey

    show.PATIENCE = 2
    show.start_survey = lambda: Survey.objects.create(group="empty", total=3)
    return show.show()


if __name__ == "__main__":
    sys.exit(main())
