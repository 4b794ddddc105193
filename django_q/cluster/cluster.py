"""`Cluster`: one `qcluster`, run in this process or started beside it."""

import multiprocessing
import multiprocessing.context
import os
import signal
import socket
import sys
import threading
import time
import uuid
from typing import Any

from django_q import humanhash
from django_q.brokers import Broker, broker_path, get_broker
from django_q.brokers.several import served_queues
from django_q.cluster.child import run_function
from django_q.cluster.offspring import Plan
from django_q.cluster.room import count_places
from django_q.cluster.sharing import disconnect, preload, prepare_fork
from django_q.cluster.supervisor import Supervisor
from django_q.cluster.title import set_title
from django_q.conf import Conf, logger
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError
from django_q.status import Stat, Status

#: Settings that name a broker; without any, a Redis on this machine is only hoped for.
_BROKER_KEYS = (
    "broker_class", "iron_mq", "disque_nodes", "sqs", "orm", "redis", "django_redis",
)  # fmt: skip
#: Longest time `start` waits for the first heartbeat.
_START_TIME = 30.0


class Cluster:
    """All processes of one `qcluster`.

    `run` is the whole life in this process; `start` and `stop` do the same in a child process.
    """

    def __init__(self, broker: Broker | None = None, cluster_id: str | None = None) -> None:
        #: Its queue is the one that is served.
        self.broker = broker or get_broker()
        self.cluster_id = uuid.UUID(cluster_id) if cluster_id else uuid.uuid4()
        self.name = humanhash.humanize(self.cluster_id.hex)
        self.host = socket.gethostname()
        self.pid: int | None = None
        self.timeout = Conf.TIMEOUT
        #: The process that `start` started; None before.
        self.sentinel: Any = None
        self._stopping = False

    def run(
        self, workers: int | None = None, *, run_once: bool = False, health_file: str | None = None
    ) -> int:
        """Run the cluster in this process until it is stopped; gives the exit code.

        Raises ConfigurationError or BrokerUnavailable when it cannot begin.
        """
        check_broker(self.broker)
        self.pid = os.getpid()
        if _start_method() == "fork":
            # Before the look at threads, which a module may start.
            preload(Conf.PRELOAD or ())
        # Children begin with as little as can be shared, and with no connection of ours.
        self._disconnect()
        context = self._context()
        plan = Plan(
            str(self.cluster_id),
            self.name,
            self.broker.list_key,
            workers or Conf.WORKERS,
            Conf.SHUTDOWN_TIMEOUT,
            run_once,
            count_places(),
            health_file or Conf.HEALTH_FILE,
        )
        logger.info("Q Cluster %s [%s] starting: %d workers on %s",
                    self.name, ", ".join(served_queues(self.broker.list_key)),
                    plan.workers, broker_path())  # fmt: skip
        set_title(f"qcluster {self.name}")
        if context.get_start_method() == "fork":
            prepare_fork()
        code = Supervisor(plan, context).run()
        logger.info("Q Cluster %s has stopped", self.name)
        return code

    def start(self) -> int:
        """Start the cluster in a process beside this one; gives its pid once it is up."""
        self._stopping = False
        # A fork must not share them: who closes one would end it for both.
        self._disconnect()
        maker: Any = self._context()
        # By its path: a process that is spawned has to set Django up before it can import this.
        arguments = (f"{__name__}.run_started", str(self.cluster_id), self.broker.list_key)
        self.sentinel = maker.Process(target=run_function, args=arguments)
        self.sentinel.start()
        self.pid = self.sentinel.pid
        limit = time.monotonic() + _START_TIME
        while not self._is_seen() and time.monotonic() < limit:
            if not self.sentinel.is_alive():
                raise RuntimeError("The cluster ended while it started; its log says why.")
            time.sleep(0.05)
        return int(self.pid or 0)

    def _is_seen(self) -> bool:
        try:
            return isinstance(self.stat, Stat)
        except BrokerError:
            return False  # a configured server is waited for

    def stop(self) -> bool:
        """Stop the cluster that `start` started and wait for it; True when one was running."""
        if self.sentinel is None or not self.sentinel.is_alive():
            return False
        self._stopping = True
        os.kill(self.sentinel.pid, signal.SIGTERM)
        self.sentinel.join()
        return True

    @property
    def stat(self) -> Status:
        """The heartbeat of this cluster, or a Status that says it is stopped."""
        return Stat.get(self.pid or 0, self.cluster_id, self.broker)

    @property
    def is_starting(self) -> bool:
        """It was started and has sent no heartbeat yet."""
        return self.is_running and not isinstance(self.stat, Stat)

    @property
    def is_running(self) -> bool:
        """It was started and has not ended."""
        return self.sentinel is not None and self.sentinel.is_alive()

    @property
    def is_stopping(self) -> bool:
        """It was told to stop and has not ended."""
        return self._stopping and self.is_running

    @property
    def has_stopped(self) -> bool:
        """It was started and has ended."""
        return self.sentinel is not None and not self.sentinel.is_alive()

    def _disconnect(self) -> None:
        self.broker.close()
        disconnect()

    def _context(self) -> multiprocessing.context.BaseContext:
        method = _start_method()
        if method == "fork" and threading.active_count() > 1:
            names = ", ".join(
                t.name for t in threading.enumerate() if t is not threading.main_thread()
            )
            logger.warning(
                "Threads run in this process (%s), so a fork is not safe: the workers start by "
                'forkserver. Set Q_CLUSTER["start_method"] to choose yourself.', names,
            )  # fmt: skip
            method = "forkserver"
        return multiprocessing.get_context(method)


def _start_method() -> str:
    return str(Conf.START_METHOD or ("fork" if sys.platform == "linux" else "spawn"))


def run_started(cluster_id: str, queue: str) -> int:
    """Run the cluster that `Cluster.start` has started, in the process it made for that."""
    return Cluster(get_broker(queue), cluster_id).run()


#: Django Q's name for what watches the workers.
Sentinel = Supervisor


def check_broker(broker: Broker) -> None:
    """Refuse to begin where beginning makes no sense; a configured server is waited for.

    Raises BrokerUnavailable when nothing is configured and no Redis answers here, and
    ConfigurationError for wrong settings, or a broker that other processes cannot see.
    """
    if not broker.is_shared:
        raise ConfigurationError(
            f"{type(broker).__name__} keeps packages in one process, so a cluster could never see "
            'them. Choose a shared broker, such as Q_CLUSTER = {"orm": "default"}.'
        )
    is_configured = any(Conf.is_set(key) for key in _BROKER_KEYS)
    try:
        if not broker.ping():
            raise BrokerUnavailable(f"{broker_path()} does not answer.")
    except BrokerError as error:
        if not is_configured:
            raise
        logger.error("%s The cluster starts and keeps trying.", error)
    except ConfigurationError:
        raise
    except Exception:  # a broker of one's own may let out whatever its client raises
        logger.exception("%s does not answer. The cluster starts and keeps trying.", broker_path())
