"""Tasks that django-q-registry plans; it imports this module by its name."""

from django_q_registry import register_task

from django_q.models import Schedule


@register_task(name="every five", schedule_type=Schedule.CRON, cron="*/5 * * * *")
def ping() -> str:
    """Give a word."""
    return "pong"


def add(first: int, second: int) -> int:
    """Give the sum."""
    return first + second


register_task(
    add, name="a sum", kwargs={"first": 20, "second": 22}, schedule_type=Schedule.DAILY, repeats=3
)
