"""The plain way in which the ORM broker waits for something to lease; see `orm_wait`."""

import time

from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.conf import Conf

#: Seconds after which everybody looks again: PostgreSQL's hints do not come through a pgbouncer
#: that shares sessions, nor from an old producer.
LONGEST = 1.0
#: Seconds until the first look at a server that gives no hints; the last is `Conf.POLL`.
_FIRST_POLL = 0.01
#: By how much a pause grows from one look to the next.
GROWTH = 1.5


class Poll:
    """Sleeps between two looks, longer each time: for MySQL, and inside a transaction."""

    #: Id of the one row that came while it waited last; "" where it is not told which.
    news = ""

    def __init__(self, queue: str) -> None:
        self._pause = 0.0

    def is_sure(self, connection: BaseDatabaseWrapper) -> bool:
        """Tell whether surely nothing came since it waited last; asked before `begin`."""
        return False

    def doubt(self) -> None:
        """Be sure of nothing for a time: something came that was not told."""

    def begin(self, connection: BaseDatabaseWrapper) -> None:
        """Nothing to note."""

    def wait(self, connection: BaseDatabaseWrapper, seconds: float) -> bool:
        """Sleep for one pause, at most so long; False where it is known that nothing came."""
        self._pause = max(min(self._pause * GROWTH, Conf.POLL), _FIRST_POLL)
        time.sleep(min(self._pause, seconds))
        return True

    def reset(self) -> None:
        """Begin with short pauses again: something came."""
        self._pause = 0.0
