"""Run inside the site: visit the page as a browser would, and print what was seen.

The survey is of three files, and the cluster is one that drains the queue and stops.
"""

import json
import subprocess
import sys
from typing import Any
from unittest import mock

import django

#: Of the standard library: two plain modules, and one that cannot be parsed.
FILES = ["this.py", "keyword.py", "test/tokenizedata/badsyntax_3131.py"]


def main() -> None:
    """Print it."""
    django.setup()
    from django.core.management import call_command

    from survey.start import tasks

    call_command("migrate", verbosity=0)
    with mock.patch.object(tasks, "library_files", lambda: FILES):
        print(json.dumps(_visit()))


def _visit() -> dict[str, Any]:
    from django.test import Client

    browser = Client(enforce_csrf_checks=True, headers={"host": "127.0.0.1"})
    seen: dict[str, Any] = {"empty": browser.get("/").content.decode()}
    token = browser.cookies["csrftoken"].value
    seen["start_by_get"] = browser.get("/start/").status_code
    seen["start_without_token"] = browser.post("/start/").status_code
    seen["start"] = browser.post("/start/", {"csrfmiddlewaretoken": token}).status_code
    seen["before"] = browser.get("/surveys/1/progress/").json()
    again = browser.post("/start/", {"csrfmiddlewaretoken": token}, follow=True)
    seen["again"] = again.content.decode()
    # A process of its own: a cluster forks, and ends with its exit code.
    subprocess.run([sys.executable, "manage.py", "qcluster", "--run-once"], check=True, timeout=60)
    seen["after"] = browser.get("/surveys/1/progress/").json()
    seen["done"] = browser.get("/").content.decode()
    seen["findings"] = browser.get("/surveys/1/findings/").content.decode()
    seen["gone"] = browser.get("/surveys/2/progress/").status_code
    seen["admin"] = browser.get("/admin/", follow=True).status_code
    return seen


if __name__ == "__main__":
    main()
