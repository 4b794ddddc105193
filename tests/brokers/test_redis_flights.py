"""Packages that are on their way while `async_tasks` makes the next: as those sent one by one."""

import pytest
import redis

from django_q.brokers import redis_flight
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_lines import Lines
from django_q.exceptions import BrokerError, BrokerUnavailable, PackageError
from django_q.sealed import open_package
from django_q.tasks import async_task, async_tasks
from tests.servers import Valkey
from tests.site import tasks

# Where there is no such server, these tests are skipped.
pytestmark = pytest.mark.usefixtures("valkey")

#: Tasks that go to the broker in one call.
CHUNK = 500


@pytest.fixture
def broker(redis_url, q_cluster):
    q_cluster(redis=redis_url)
    broker = Redis("mail")
    yield broker
    broker.close()


@pytest.fixture
def own_server(q_cluster):
    """A server that the test may kill and restart; it keeps what it had."""
    server = Valkey().start()
    q_cluster(redis=server.url)
    yield server
    server.stop()


@pytest.fixture(params=["flights", "one by one"])
def way(request, monkeypatch):
    """How packages are sent: the short way, and the plain one beside it."""
    if request.param == "one by one":
        monkeypatch.setattr(Redis, "begin_enqueue", None)
    return request.param


def taken(broker):
    """Take all packages out of a queue, opened."""
    opened = []
    while leases := broker.lease(1000):
        broker.acknowledge_many([lease.receipt for lease in leases])
        opened += [open_package(lease.payload, broker.list_key) for lease in leases]
    return opened


def numbers(broker):
    return [package["args"][0] for package in taken(broker)]


def counted(until, *, at, do):
    """Give numbers, and do something before one of them: while the chunk before is on its way."""
    for number in range(until):
        if number == at:
            do()
        yield number


def send(broker, elements):
    return async_tasks(tasks.echo, elements, broker=broker)


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 4 * CHUNK - 1])
def test_what_is_sent_arrives_in_its_order(broker, way, count):
    ids = send(broker, range(count))

    packages = taken(broker)
    assert [package["args"] for package in packages] == [(number,) for number in range(count)]
    assert [package["id"] for package in packages] == ids


def test_a_chunk_is_sent_before_the_next_is_made(broker, way):
    seen = []

    send(broker, counted(2 * CHUNK + 1, at=2 * CHUNK, do=lambda: seen.append(numbers(broker))))

    # The second may be on its way still.
    assert seen[0][:CHUNK] == list(range(CHUNK))
    assert seen[0] + numbers(broker) == list(range(2 * CHUNK + 1))


def test_a_task_that_is_sent_in_between_overtakes_nothing_that_was_sent(broker, way):
    def ask():
        async_task(tasks.echo, -1, broker=broker)

    send(broker, counted(CHUNK + 1, at=CHUNK, do=ask))

    arrived = numbers(broker)
    assert sorted(arrived) == [-1, *range(CHUNK + 1)]
    assert [number for number in arrived if number >= 0] == list(range(CHUNK + 1))


@pytest.mark.parametrize("kind", [redis.ConnectionError, redis.exceptions.NoScriptError])
def test_a_lost_reply_keeps_all_once(broker, monkeypatch, kind):
    end, lost = Lines.end, []

    def lose(self, line):
        reply = end(self, line)
        if not lost:
            lost.append(reply)
            raise kind("lost")
        return reply

    def meanwhile():
        # Not before: the call of this thread that the server heard last is another one then.
        async_task(tasks.echo, -1, broker=broker)
        monkeypatch.setattr(Lines, "end", lose)

    send(broker, counted(2 * CHUNK, at=CHUNK, do=meanwhile))

    assert lost
    assert sorted(numbers(broker)) == [-1, *range(2 * CHUNK)]


def test_what_may_have_been_forgotten_is_not_repeated(broker, monkeypatch):
    end = Lines.end

    def lose(self, line):
        end(self, line)
        raise redis.ConnectionError("lost")

    def wait_long():
        monkeypatch.setattr(redis_flight, "_REMEMBERED", 0.0)
        monkeypatch.setattr(Lines, "end", lose)

    with pytest.raises(BrokerUnavailable, match="lost"):
        send(broker, counted(2 * CHUNK, at=CHUNK, do=wait_long))

    monkeypatch.undo()
    assert numbers(broker) == list(range(CHUNK))


def test_a_server_that_goes_away_meanwhile_is_told(own_server, way):
    broker = Redis("mail")
    broker.enqueue("a")

    with pytest.raises(BrokerUnavailable, match=str(own_server.port)) as caught:
        send(broker, counted(9 * CHUNK, at=2 * CHUNK, do=own_server.kill))

    assert caught.value.taken == []
    broker.close()


def test_a_server_that_is_restarted_meanwhile_is_found(own_server, way):
    broker = Redis("mail")
    broker.enqueue("a")

    def restart():
        own_server.kill()
        own_server.restart()

    ids = send(broker, counted(4 * CHUNK, at=CHUNK, do=restart))

    assert len(ids) == 4 * CHUNK
    # Those before may be gone with the server, which kept nothing on disk.
    assert numbers(broker)[-3 * CHUNK :] == list(range(CHUNK, 4 * CHUNK))
    broker.close()


def test_a_server_that_forgot_the_script_learns_it_again(broker, way):
    ids = send(broker, counted(3 * CHUNK, at=CHUNK, do=broker.connection.script_flush))

    assert [package["id"] for package in taken(broker)] == ids


def test_a_refusal_is_told_and_what_was_sent_before_is_there(own_server, way):
    broker, made = Redis("mail"), []

    def elements():
        for number in range(9 * CHUNK):
            made.append(number)
            if number == 2 * CHUNK:
                broker.connection.config_set("maxmemory", 1)
            yield number

    with pytest.raises(BrokerError, match="out of memory") as caught:
        send(broker, elements())

    assert caught.value.taken == []
    broker.connection.config_set("maxmemory", 0)
    # The second may have been on its way, and is kept as a whole or not at all.
    arrived = numbers(broker)
    assert arrived in (list(range(CHUNK)), list(range(2 * CHUNK)))
    # What was refused comes next, and one more chunk was made at most.
    assert len(made) <= len(arrived) + 2 * CHUNK
    broker.close()


@pytest.mark.parametrize("at", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_elements_that_fail_leave_what_was_sent(broker, way, at):
    def fail():
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        send(broker, counted(9 * CHUNK, at=at, do=fail))

    assert numbers(broker) == list(range(at // CHUNK * CHUNK))


def test_an_argument_that_cannot_be_packed_leaves_what_was_sent(broker, way):
    with pytest.raises(PackageError, match="argument 1"):
        send(broker, [*range(CHUNK), tasks.Unpicklable()])

    assert numbers(broker) == list(range(CHUNK))


def test_who_is_interrupted_does_not_wait(broker, monkeypatch):
    def interrupt():
        monkeypatch.setattr(Lines, "end", None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(broker, counted(2 * CHUNK, at=CHUNK, do=interrupt))

    monkeypatch.undo()
    assert numbers(broker) == list(range(CHUNK))


def test_a_chunk_that_failed_is_told_even_if_the_next_cannot_be_made(broker, monkeypatch):
    def fail():
        monkeypatch.setattr(redis_flight, "_REMEMBERED", 0.0)
        monkeypatch.setattr(Lines, "end", lose)
        raise LookupError("no more")

    def lose(self, line):
        raise redis.ConnectionError("lost")

    with pytest.raises(BrokerUnavailable, match="lost") as caught:
        send(broker, counted(2 * CHUNK, at=CHUNK, do=fail))

    causes, error = [], caught.value
    while error := error.__context__:
        causes.append(type(error))
    assert LookupError in causes


def test_packages_that_are_large_go_one_call_after_the_other(broker, monkeypatch):
    monkeypatch.setattr("django_q.brokers.redis_batches.ENQUEUE_SIZE", 10_000)

    ids = send(broker, [(number, "x" * 1000) for number in range(CHUNK + 7)])

    assert [package["id"] for package in taken(broker)] == ids


def test_the_method_of_a_subclass_is_called(redis_url, q_cluster):
    calls = []

    class Counting(Redis):
        def enqueue_many(self, tasks, **options):
            calls.append(len(tasks))
            return super().enqueue_many(tasks, **options)

    class Single(Redis):
        def enqueue(self, task):
            calls.append(1)
            return super().enqueue(task)

    q_cluster(redis=redis_url)
    for kind, expected in ((Counting, [CHUNK, 2]), (Single, [1] * (CHUNK + 2))):
        broker = kind("mail")
        calls.clear()
        send(broker, range(CHUNK + 2))
        assert calls == expected
        assert numbers(broker) == list(range(CHUNK + 2))
        broker.close()


@pytest.mark.parametrize("settings", [{"legacy": "write"}, {"redis_url": "?max_connections=5"}])
def test_other_ways_to_the_server_wait_for_each_call(redis_url, q_cluster, settings, monkeypatch):
    monkeypatch.setattr(Lines, "begin", None)
    url = redis_url + settings.pop("redis_url", "")
    q_cluster(redis=url, **settings)
    broker = Redis("mail")
    if settings:
        broker._lines = broker.connection

    send(broker, range(CHUNK + 2))

    assert numbers(broker) == list(range(CHUNK + 2))
    broker.close()


def test_every_task_is_logged_once_it_is_kept(broker, caplog, monkeypatch):
    with caplog.at_level("DEBUG", "django-q"):
        ids = send(broker, range(CHUNK + 2))

    assert [record.args[1] for record in caplog.records if "Enqueued" in record.msg] == ids
