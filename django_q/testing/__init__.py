"""What projects need to test with django_q.

`task_queue` is for the tests of a site; `BrokerSuite` is the contract of a broker as tests.
"""

from django_q.testing.broker_suite import BrokerSuite
from django_q.testing.task_queue import TaskQueue, task_queue

__all__ = ["BrokerSuite", "TaskQueue", "task_queue"]
