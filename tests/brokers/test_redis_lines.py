"""The connections by which producers send, without the client of redis-py between."""

import os
import threading

import pytest
import redis

from django_q.brokers import redis_lines
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_lines import Lines, is_plain
from django_q.brokers.redis_scripts import Script
from tests.servers import Valkey


@pytest.fixture
def broker(redis_url, q_cluster):
    q_cluster(redis=redis_url)
    broker = Redis("mail")
    yield broker
    broker.close()


def waiting(broker):
    leases = broker.lease(1000)
    broker.acknowledge_many([lease.receipt for lease in leases])
    return [lease.payload for lease in leases]


@pytest.mark.parametrize(
    "setting",
    [
        "redis://host:6379/2",
        "rediss://me:secret@host?ssl_ca_certs=/a&ssl_cert_reqs=required",
        "unix:///run/redis?db=1",
        "redis://host?socket_timeout=2&health_check_interval=30",
        {"host": "localhost", "port": 6379, "db": 1, "password": "p", "decode_responses": True},
        {"unix_socket_path": "/run/redis"},
        {"host": "h", "ssl": True, "ssl_ca_certs": "/a", "client_name": "site"},
    ],
)
def test_one_server_is_reached_by_lines(q_cluster, setting):
    q_cluster(redis=setting)

    assert is_plain()


@pytest.mark.parametrize(
    "setting",
    [
        "redis://host?max_connections=5",
        "redis://host?protocol=3",
        "redis://host?retry_on_timeout=yes",
        {"host": "h", "retry_on_error": [OSError]},
        {"host": "h", "single_connection_client": True},
        {"connection_pool": redis.BlockingConnectionPool()},
        {"sentinels": ["h:26379"], "service_name": "s"},
        {"startup_nodes": ["h:6379"]},
    ],
)
def test_what_redis_py_has_its_ways_for_is_left_to_it(q_cluster, setting):
    q_cluster(redis=setting)

    assert not is_plain()


def test_the_client_of_django_redis_is_used(q_cluster):
    q_cluster(django_redis="default")

    assert not is_plain()


def test_a_client_of_ones_own_is_used(redis_url, q_cluster):
    class Own(Redis):
        @staticmethod
        def get_connection(list_key=None):
            return redis.Redis.from_url(redis_url)

    q_cluster(redis=redis_url)
    broker = Own("mail")

    broker.enqueue("a")

    assert broker._lines is broker.connection
    assert waiting(broker) == ["a"]
    broker.close()


@pytest.mark.parametrize("packer", [redis_lines.pack_command, None])
@pytest.mark.parametrize("number", [1, 2, 700])
@pytest.mark.parametrize("size", [10, 100_000])
def test_what_comes_by_lines_is_what_comes_by_the_client(broker, monkeypatch, number, size, packer):
    monkeypatch.setattr(redis_lines, "pack_command", packer)
    number = min(number, 2_000_000 // size)
    payloads = [f"Grüße {n}\0\r\n".ljust(size, "€ÿ"[n % 2]) for n in range(number)]
    payloads[::3] = [f"\xff{payload.replace('€', '~')}" for payload in payloads[::3]]
    payloads[1::7] = ["small"] * len(payloads[1::7])
    assert isinstance(broker._lines, Lines)

    broker.enqueue_many(payloads)
    by_lines = waiting(broker)
    broker._lines = broker.connection
    broker.enqueue_many(payloads)

    assert by_lines == waiting(broker) == payloads


def test_threads_that_send_in_turn_share_one_line(broker):
    for _ in range(3):
        thread = threading.Thread(target=broker.enqueue, args=("a",))
        thread.start()
        thread.join()

    assert len(broker._lines._idle) == 1


def test_a_line_whose_reply_was_not_read_is_not_used_again(broker, monkeypatch):
    broker.enqueue("a")
    (line,) = broker._lines._idle

    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(line, "read_response", interrupted)
    with pytest.raises(KeyboardInterrupt):
        broker.enqueue("b")

    assert broker._lines._idle == []
    broker.enqueue("c")
    assert waiting(broker) == ["a", "b", "c"]


def test_a_refusal_leaves_the_line_in_use(broker):
    broker.enqueue("a")
    (line,) = broker._lines._idle

    with pytest.raises(redis.ResponseError):
        Script("return redis.error_reply('ERR no')").run(broker._lines, [])

    assert broker._lines._idle == [line]


def test_a_server_that_was_restarted_is_found_whatever_lines_there_were(q_cluster):
    server = Valkey().start()
    q_cluster(redis=server.url)
    broker = Redis("mail")
    try:
        lines = [broker._lines._take() for _ in range(3)]
        for line in lines:
            line.connect()
        broker._lines._idle = lines
        server.kill()
        server.restart()

        broker.enqueue("a")

        assert waiting(broker) == ["a"]
    finally:
        broker.close()
        server.stop()


def test_a_lost_reply_on_a_line_keeps_the_package_once(broker, monkeypatch):
    broker.enqueue("a")
    (line,) = broker._lines._idle
    read = line.read_response

    def lost(**options):
        read(**options)
        raise redis.ConnectionError("Connection closed by server.")

    monkeypatch.setattr(line, "read_response", lost)
    broker.enqueue("b")

    assert waiting(broker) == ["a", "b"]


def test_a_forked_child_has_lines_of_its_own(broker):
    broker.enqueue("a")
    (line,) = broker._lines._idle

    child = os.fork()
    if not child:
        try:
            broker.enqueue("b")
            os._exit(0 if line not in broker._lines._idle else 1)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    broker.enqueue("c")
    assert broker._lines._idle == [line]
    assert waiting(broker) == ["a", "b", "c"]


def test_closing_a_broker_closes_its_lines(broker):
    broker.enqueue("a")
    lines = broker._lines
    (line,) = lines._idle

    broker.close()

    assert (line.is_connected if hasattr(line, "is_connected") else line._sock) in (False, None)
    assert lines._idle == []
    broker.enqueue("b")
    assert waiting(broker) == ["a", "b"]
