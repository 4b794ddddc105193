"""The tables of Django Q. See the modules for what each one is for and who writes it."""

from django_q.models.delayed import Delayed
from django_q.models.gathering import GatheredPart, Gathering
from django_q.models.ledger import Ledger
from django_q.models.limits import Pace, Permit, UniqueKey
from django_q.models.queue import Heartbeat, OrmQ, Rejected
from django_q.models.schedule import Schedule
from django_q.models.task import Failure, FailureManager, Success, SuccessManager, Task
from django_q.models.tracked import Attempt, Cancellation, Tracked
from django_q.models.validators import validate_cron, validate_kwarg

__all__ = [
    "Attempt",
    "Cancellation",
    "Delayed",
    "Failure",
    "FailureManager",
    "GatheredPart",
    "Gathering",
    "Heartbeat",
    "Ledger",
    "OrmQ",
    "Pace",
    "Permit",
    "Rejected",
    "Schedule",
    "Success",
    "SuccessManager",
    "Task",
    "Tracked",
    "UniqueKey",
    "validate_cron",
    "validate_kwarg",
]
