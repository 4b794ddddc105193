"""The pages of Django Q in Django's admin, which imports this module by itself."""

from django.contrib import admin

from django_q.admin.delayed import DelayedAdmin
from django_q.admin.queues import LedgerAdmin, QueueAdmin
from django_q.admin.rejected import RejectedAdmin
from django_q.admin.results import FailAdmin, TaskAdmin, resubmit_task
from django_q.admin.schedules import ScheduleAdmin
from django_q.admin.under_way import TrackedAdmin
from django_q.models import Delayed, Failure, Ledger, OrmQ, Rejected, Schedule, Success, Tracked

__all__ = [
    "DelayedAdmin",
    "FailAdmin",
    "LedgerAdmin",
    "QueueAdmin",
    "RejectedAdmin",
    "ScheduleAdmin",
    "TaskAdmin",
    "TrackedAdmin",
    "resubmit_task",
]

admin.site.register(Schedule, ScheduleAdmin)
admin.site.register(Tracked, TrackedAdmin)
admin.site.register(Delayed, DelayedAdmin)
admin.site.register(Success, TaskAdmin)
admin.site.register(Failure, FailAdmin)
# It hides itself where another broker is used, so that no setting is read here.
admin.site.register(OrmQ, QueueAdmin)
admin.site.register(Ledger, LedgerAdmin)
admin.site.register(Rejected, RejectedAdmin)
