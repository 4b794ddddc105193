"""The program of a producer: sends tasks one by one, and writes down what became of each.

    python -m tests.faults.sending TRACE RECORD PAUSE COUNT [WAY]

Into RECORD go lines: "began TOKEN", and then "sent TOKEN SECONDS", "refused TOKEN SECONDS ERROR" or
"undone TOKEN SECONDS". With a WAY each is sent in a transaction that also writes a row named after
it, and every third is rolled back. SIGTERM ends it after the task it is at.
"""

import os
import signal
import sys
import time

import django

if __name__ == "__main__":
    django.setup()

from django.contrib.auth.models import Group
from django.db import router, transaction

from django_q.tasks import async_task
from tests.site.tasks import record, write

#: What its tasks call: another path than that of the tasks of the arena.
PATH = "tests.faults.sending.record"
#: Seconds that each takes.
LENGTH = 0.02
#: Way -> `on_commit` of the tasks.
WAYS = {"commit": True, "outbox": "outbox"}

__all__ = ["PATH", "WAYS", "record"]


def main() -> None:
    """Send until told to end."""
    trace, path, pause, count, *way = sys.argv[1:]
    is_over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: is_over.append(number))
    for number in range(int(count)):
        if is_over:
            break
        token = f"{os.getpid()}-{number}"
        write(path, f"began {token}")
        began = time.monotonic()
        try:
            word = _send_within(trace, token, number, way[0]) if way else _send(trace, token)
            write(path, f"{word} {token} {time.monotonic() - began:.3f}")
        except Exception as error:  # whatever a caller would see
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            write(path, f"refused {token} {time.monotonic() - began:.3f} {text}")
        time.sleep(float(pause))


def _send(trace: str, token: str) -> str:
    async_task(PATH, trace, token, LENGTH)
    return "sent"


def _send_within(trace: str, token: str, number: int, way: str) -> str:
    alias = router.db_for_write(Group)
    with transaction.atomic(using=alias):
        Group.objects.create(name=token)
        async_task(PATH, trace, token, LENGTH, on_commit=WAYS[way])
        if number % 3 == 2:
            transaction.set_rollback(True, using=alias)
            return "undone"
    return "sent"


if __name__ == "__main__":
    main()
