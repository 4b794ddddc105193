import os, signal, time
from django_q.models import Task, Success
from django_q.tasks import async_task, async_tasks
from django_q.brokers import get_broker
from tests.waiting import wait_until
from tests.servers.ironmq_process import IronMQ
import pytest

def test_e2e(database, q_cluster, cluster):
    s = IronMQ().start()
    try:
        q_cluster(name="e2e", iron_mq=s.settings, retry=30, workers=4, save_limit=0)
        c = cluster()
        s.reset_counts()
        t=time.time()
        async_tasks("math.sqrt", [(n,) for n in range(1000)])
        print("sent", time.time()-t, s.counts())
        wait_until(lambda: Success.objects.using(database).count() >= 1000, 60)
        wait_until(lambda: get_broker().queue_size()==0, 60)
        print("drained", time.time()-t, s.counts(), s.total())
        s.reset_counts()
        id=async_task("time.sleep", 45)
        wait_until(lambda: Success.objects.using(database).filter(pk=id).count(), 60)
        print("long", s.counts(), Task.objects.using(database).get(pk=id).attempt_count)
        t=time.time(); code=c.stop(); print("stop", time.time()-t, code)
        print(c.log()[-3000:])
    finally:
        s.stop()
