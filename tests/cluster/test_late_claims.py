"""A worker is killed while its claim is on its way: the server carries it out after its burial."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_q.brokers import get_broker
from django_q.tasks import async_task
from tests.cluster.ground import RETRY, on, stat_of, wait_empty, wait_task
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]

#: Any number: the lock that holds claims up.
_LOCK = 1207
#: The claim is done as far as its commit, and waits there.
_HOLD_UP = f"""
    CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({_LOCK});
        RETURN NEW;
    END $$;
    CREATE TRIGGER hold_up AFTER UPDATE ON django_q_ormq FOR EACH ROW
        WHEN (OLD.token IS NULL AND NEW.token IS NOT NULL) EXECUTE FUNCTION hold_up();
"""
_WAITING = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"


@contextlib.contextmanager
def claims_held_up() -> Iterator[CursorWrapper]:
    """No claim of a task that waits is committed in the meantime."""
    with connections["postgres"].cursor() as cursor:
        cursor.execute(_HOLD_UP)
        try:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            yield cursor
        finally:
            cursor.execute("SELECT pg_advisory_unlock_all()")
            cursor.execute("DROP TRIGGER hold_up ON django_q_ormq")
            cursor.execute("DROP FUNCTION hold_up()")


@on("postgres")
def test_what_a_dead_worker_claims_after_its_burial_goes_on_soon(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=1, retry=RETRY)
    started: ClusterProcess = cluster()
    worker = stat_of(started).workers[0]

    with claims_held_up() as cursor:
        task_id = async_task("tests.site.tasks.add", 1, 2)

        def is_on_its_way() -> bool:
            cursor.execute(_WAITING, [_LOCK])
            return cursor.fetchone() is not None

        wait_until(is_on_its_way, what="the claim")
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: worker not in stat_of(started).workers, what="its burial")
        assert get_broker().lock_size() == 0

    assert wait_task(task_id, RETRY / 4).result == 3
    wait_empty()
    assert started.stop() == 0
