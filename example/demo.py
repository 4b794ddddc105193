"""The demo: a database, a cluster, a site and a survey, in one command. ``make demo`` calls it."""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website.settings")
django.setup()

# Models, and all that uses them, can be imported only after Django is set up.
from demonstration.show import show  # noqa: E402

if __name__ == "__main__":
    sys.exit(show())
