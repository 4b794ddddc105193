"""The Redis broker on Redis Cluster, by the client that a subclass makes."""

import pytest
import redis
from redis.cluster import RedisCluster
from redis.crc import key_slot

from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from django_q.exceptions import BrokerUnavailable
from tests.servers import Valkey
from tests.servers.base import free_port
from tests.waiting import wait_until


class ClusterRedis(Redis):
    """As a project writes it."""

    @staticmethod
    def get_connection(list_key=None):
        return RedisCluster.from_url(Conf.REDIS, protocol=2)


@pytest.fixture
def broker(q_cluster):
    server = Valkey("--cluster-enabled", "yes", "--cluster-port", str(free_port())).start()
    q_cluster(redis=server.url, legacy="write")
    broker = ClusterRedis("mail")
    try:
        with redis.Redis(port=server.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))

            wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield broker
    finally:
        broker.close()
        server.stop()


def test_a_redis_cluster_serves(broker):
    first, second, third = broker.enqueue_many(["a", "b", "c"])
    leases = broker.lease(2, 1.0)
    assert [lease.payload for lease in leases] == ["a", "b"]
    assert (broker.queue_size(), broker.lock_size()) == (1, 2)

    receipts = [lease.receipt for lease in leases]
    assert broker.renew(receipts) == receipts
    broker.acknowledge(receipts[0])
    assert broker.release_holder(broker.holder) == 1
    assert broker.delete(third)

    (lease,) = broker.lease(5)
    assert lease.id == second
    broker.release([lease.receipt], 60)
    assert broker.lease(1, 0.1) == []
    # All in one slot, or scripts would fail on a cluster of several nodes.
    assert {key_slot(key) for key in broker.connection.keys("*")} == {key_slot(b"{django_q:mail}")}
    broker.delete_queue()
    assert broker.lease(1) == []


def test_a_redis_cluster_tells_of_itself(broker):
    broker.set_stat(f"{Conf.Q_STAT}:one", "alive", 5)

    assert broker.ping()
    assert broker.info().split()[0] in ("Redis", "Valkey")
    assert broker.get_stats(f"{Conf.Q_STAT}:*") == ["alive"]


def test_a_redis_cluster_that_is_away_is_told(q_cluster):
    q_cluster(redis=f"redis://127.0.0.1:{free_port()}")

    with pytest.raises(BrokerUnavailable):
        ClusterRedis("mail").enqueue("a")
