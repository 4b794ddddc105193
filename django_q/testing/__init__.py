"""What projects need to test with django_q.

`task_queue` is for the tests of a site; `BrokerSuite` is the contract of a broker as tests.
"""

from typing import TYPE_CHECKING

from django_q.signposts import signposts
from django_q.testing.broker_suite import BrokerSuite

if TYPE_CHECKING:
    from django_q.testing.site_queue import TaskQueue, task_queue

__all__ = ["BrokerSuite", "TaskQueue", "task_queue"]

if not TYPE_CHECKING:
    # They need models, and so a Django that is set up, which not every conftest can wait for.
    __getattr__ = signposts(__name__)
