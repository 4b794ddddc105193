"""What the housekeeper does about schedules: those that settings declare, those due, those late.

Each is a duty of its own, so that a trouble with one does not keep the others from being done.
"""

from django.utils import timezone

from django_q.brokers import Broker
from django_q.conf import Conf, logger
from django_q.discovery import declared_by_decorators
from django_q.models import Schedule
from django_q.planning import synchronise
from django_q.punctuality import Unpunctual, unpunctual
from django_q.results.looks import Together, is_any
from django_q.schedule_rows import ScheduleRows
from django_q.scheduler import Scheduler
from django_q.soft_limit import SoftLimit
from django_q.status import Stat


class Timetable:
    """The schedules of one cluster. Used in the main thread of its housekeeper."""

    def __init__(self, broker: Broker, together: Together | None = None) -> None:
        self._broker = broker
        self._rows = ScheduleRows(broker.list_key)
        self._queues = broker.queue_names
        self._soft_limit = SoftLimit()
        members = [broker.of_queue(queue) for queue in self._queues]
        self._schedulers = [Scheduler(member, self._soft_limit, together) for member in members]
        self._is_synchronised = False
        self._told: set[int] | None = None

    def synchronise(self) -> None:
        """Make the schedules that settings and decorators declare, once.

        Raises ResultsUnavailable.
        """
        if self._is_synchronised:
            return
        beside = declared_by_decorators(self._soft_limit)
        with self._rows.watched():
            for queue in self._queues:
                synchronise(queue)
                synchronise(queue, beside)
        self._is_synchronised = True

    def look(self) -> float:
        """Enqueue what is due; the seconds until more is. Raises as `Scheduler.run_due`."""
        return min(scheduler.look() for scheduler in self._schedulers)

    def tell(self) -> None:
        """Log schedules that are late, or that nobody serves, each once.

        Raises ResultsUnavailable and BrokerError.
        """
        if self._told is None:
            # Others that start with this one have not said so yet, and what is late now is
            # just being enqueued.
            self._told = set()
            return
        found = self._unpunctual() if is_any(Schedule) else []
        for late in found:
            if late.id not in self._told and not late.is_disabled:
                logger.warning("Schedule %s (%d) %s", late.name, late.id, late.reason)
        self._told = {late.id for late in found}

    def _unpunctual(self) -> list[Unpunctual]:
        stats = Stat.get_all(self._broker)
        alive = [stat for stat in stats if stat.status != Conf.STOPPED]
        served = {queue for stat in alive for queue in stat.served}
        with self._rows.watched():
            # Who does not see the own heartbeat does not see those of others.
            is_known = served.issuperset(self._queues)
            return unpunctual(timezone.now(), served if is_known else None)
