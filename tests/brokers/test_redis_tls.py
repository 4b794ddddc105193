"""The Redis brokers over TLS."""

import pytest

from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from django_q.exceptions import BrokerUnavailable
from tests.servers.tls import TlsRelay


@pytest.fixture
def relay(valkey, redis_url, tmp_path):
    with TlsRelay(valkey.port, tmp_path) as relay:
        yield relay


@pytest.fixture
def make(request):
    """Function that makes a broker which is closed at the end."""

    def make(broker_class=Redis):
        broker = broker_class("mail")
        request.addfinalizer(broker.close)
        return broker

    return make


@pytest.mark.parametrize("form", ["url", "broker", "keywords"])
@pytest.mark.parametrize("broker_class", [Redis, RedisList])
def test_a_server_that_is_trusted_is_used(relay, q_cluster, make, form, broker_class):
    url = f"rediss://127.0.0.1:{relay.port}/0?ssl_ca_certs={relay.certificate}"
    place = {"host": "127.0.0.1", "port": relay.port}
    keywords = {**place, "ssl": True, "ssl_ca_certs": str(relay.certificate)}
    q_cluster(
        **{"broker" if form == "broker" else "redis": keywords if form == "keywords" else url}
    )
    broker = make(broker_class)

    broker.enqueue("Grüße")

    assert [lease.payload for lease in broker.lease(1, 1.0)] == ["Grüße"]
    assert broker.lease(1, 0.1) == []
    assert broker.ping()
    assert broker.info().split()[0] in ("Redis", "Valkey")


def test_a_server_that_is_not_trusted_is_told(relay, q_cluster, make):
    q_cluster(redis=f"rediss://me:se-cret@127.0.0.1:{relay.port}")
    broker = make()

    for call in (lambda: broker.enqueue("a"), broker.ping):
        with pytest.raises(BrokerUnavailable, match="certificate verify failed.* See") as caught:
            call()
        assert f"127.0.0.1:{relay.port}" in str(caught.value)
        assert "cret" not in str(caught.value)
