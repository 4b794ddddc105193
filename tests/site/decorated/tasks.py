"""Decorated functions. Found by a cluster when the app is installed."""

import os
from datetime import timedelta

from django_q.tasks import current_task, periodic, task
from tests.site.tasks import write


@task(timeout=30, max_attempts=3, retry_delay=0.1, group="receipts")
def send_receipt(number: int, currency: str = "EUR") -> str:
    """Give the text of a receipt."""
    return f"{number} {currency}"


@task
def plain(timeout: float, group: str) -> list[float | str]:
    """Give back arguments that are named as options are."""
    return [timeout, group]


@task(max_attempts=3, retry_delay=0.1)
def stumble() -> int:
    """Fail twice, then give the number of the run."""
    current = current_task()
    assert current is not None
    if current.attempt < 3:
        raise ValueError(current.attempt)
    return current.attempt


@task(cluster="default")
async def wait_a_bit(number: int) -> int:
    """Give the number."""
    return number


@periodic(every=timedelta(seconds=1), args=("tick",))
@periodic(cron="0 4 * * *", name="nightly", kwargs={"word": "night"})
@task(timeout=20, group="ticks")
def tick(word: str) -> None:
    """Write a word down."""
    write(os.environ["TEST_TICKS"], word)
