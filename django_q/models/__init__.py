"""The tables of Django Q. See the modules for what each one is for and who writes it."""

from django_q.models.gathering import GatheredPart, Gathering
from django_q.models.ledger import Ledger
from django_q.models.queue import Heartbeat, OrmQ, Rejected
from django_q.models.schedule import Schedule
from django_q.models.task import Failure, FailureManager, Success, SuccessManager, Task
from django_q.models.validators import validate_cron, validate_kwarg

__all__ = [
    "Failure",
    "FailureManager",
    "GatheredPart",
    "Gathering",
    "Heartbeat",
    "Ledger",
    "OrmQ",
    "Rejected",
    "Schedule",
    "Success",
    "SuccessManager",
    "Task",
    "validate_cron",
    "validate_kwarg",
]
