"""What `Broker` gives to a broker of one's own, and how the settings choose one."""

import collections
import pickle
import sys

import pytest
from django.test import override_settings

from django_q.brokers import broker_path, get_broker, shared_broker
from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.brokers.memory import Memory
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError
from django_q.testing import BrokerSuite


class OldStyle(Broker):
    """A broker as they were written for Django Q, with integers and bytes of its client."""

    is_shared = False

    def __init__(self, list_key=Conf.PREFIX):
        super().__init__(list_key)
        self.waiting = collections.deque()
        self.leased = {}
        self.count = 0

    def enqueue(self, task):
        self.count += 1
        self.waiting.append((self.count, task.encode()))
        return str(self.count)

    def dequeue(self):
        if not self.waiting:
            return None
        id, task = self.waiting.popleft()
        self.leased[id] = task
        return [(id, task)]

    def acknowledge(self, task_id):
        self.leased.pop(task_id, None)

    def purge_queue(self):
        self.waiting.clear()
        self.leased.clear()

    def queue_size(self):
        return len(self.waiting)


class TestOldStyle(BrokerSuite):
    """The defaults are honest: an old broker passes, as far as it promises anything."""

    def make_broker(self):
        return OldStyle(self.queue_name())

    # Its packages never lapse, which the suite asks of all that has receipts.
    test_a_lapsed_package_comes_back_with_its_count = None
    test_a_lapsed_package_counts_as_waiting = None
    test_a_lost_receipt_changes_nothing = None
    # It looks once, and does not wait.
    test_an_idle_lease_sees_what_is_enqueued = None


class FireAndForget(Broker):
    """The least a broker can be."""

    def enqueue(self, task):
        return ""

    def dequeue(self):
        return None


# What one must write.


@pytest.mark.parametrize("given", [None, [], (None, "a"), (None, b"a"), [(None, "a")]])
def test_a_dequeue_may_give_what_it_always_gave(given):
    class Mine(FireAndForget):
        def dequeue(self):
            return given

    leases = Mine().lease(5, 1.0)

    assert leases == ([(None, "a")] if given else [])
    assert all(type(lease) is Lease for lease in leases)


@pytest.mark.parametrize(("missing", "newer"), [("enqueue", "enqueue_many"), ("dequeue", "lease")])
def test_a_broker_that_lacks_a_method_says_which(missing, newer):
    methods = {"enqueue": lambda self, task: "", "dequeue": lambda self: None}
    del methods[missing]

    with pytest.raises(ConfigurationError, match=rf"Mine has no {missing}\(\).*{newer}\(\)"):
        type("Mine", (Broker,), methods)()


def test_a_broker_may_write_the_newer_methods_only():
    class Mine(Broker):
        def enqueue_many(self, tasks, *, delay=0.0):
            return [f"id of {task}" for task in tasks]

        def lease(self, limit=1, wait=0.0):
            return [Lease("receipt", "a")]

        def acknowledge_many(self, receipts):
            self.done = receipts

    broker = Mine()
    broker.acknowledge("receipt")

    assert broker.enqueue("a") == "id of a"
    assert broker.dequeue() == [("receipt", "a")]
    assert broker.done == ["receipt"]


def test_the_defaults_promise_nothing():
    broker = FireAndForget()

    assert not any((broker.has_receipts, broker.can_renew, broker.can_release, broker.can_delete))
    assert broker.delete("x") is False
    assert broker.queue_size() == 0
    assert broker.lock_size() is None
    assert broker.release_holder("x") == 0
    assert broker.ping() is True
    assert broker.info() == "FireAndForget"
    assert broker.connection is None


def test_who_writes_acknowledge_has_receipts():
    assert not FireAndForget.has_receipts
    assert OldStyle.has_receipts


# Subclasses of ours.


def test_an_overridden_old_method_is_the_one_that_is_called():
    class Shouting(Memory):
        def enqueue(self, task):
            return super().enqueue(task.upper())

        def dequeue(self):
            return [Lease(r, f"{payload}!") for r, payload in super().dequeue()]

        def acknowledge(self, task_id):
            self.last = task_id
            super().acknowledge(task_id)

    broker = Shouting()
    broker.enqueue_many(["a", "b"])
    (lease,) = broker.lease(1)
    broker.acknowledge_many([lease.receipt])

    assert lease.payload == "A!"
    assert broker.last == lease.receipt
    assert broker.queue_size() == 1
    assert broker.lock_size() == 0


def test_an_overridden_connection_is_used():
    class Mine(FireAndForget):
        @staticmethod
        def get_connection(list_key=None):
            return f"connection for {list_key}"

    assert Mine("mail").connection == "connection for mail"


def test_a_pickled_broker_keeps_its_queue_and_takes_a_new_holder():
    broker = FireAndForget("mail")
    broker._info = "Server 1.0"

    twin = pickle.loads(pickle.dumps(broker))

    assert (twin.list_key, twin.info()) == ("mail", "Server 1.0")
    assert twin.holder != broker.holder


def test_a_lease_is_a_pair_that_knows_more():
    lease = Lease("receipt", "payload", "id", 3)

    receipt, payload = lease

    assert (receipt, payload) == (lease.receipt, lease.payload) == ("receipt", "payload")
    assert (lease.id, lease.deliveries) == ("id", 3)


def test_without_a_cache_there_are_no_heartbeats(q_cluster):
    q_cluster(cache=None)
    broker = FireAndForget()

    broker.set_stat("key", "value", 5)

    assert broker.get_stat("key") is None
    assert broker.get_stats("*") == []


# The choice.


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "django_q.brokers.redis_broker.Redis"),
        ({"receipts": False}, "django_q.brokers.redis_list.RedisList"),
        ({"orm": "default"}, "django_q.brokers.orm.ORM"),
        ({"sqs": {}}, "django_q.brokers.aws_sqs.Sqs"),
        ({"sqs": {}, "orm": "default"}, "django_q.brokers.aws_sqs.Sqs"),
        ({"iron_mq": {}, "sqs": {}}, "django_q.brokers.ironmq.IronMQBroker"),
        ({"broker_class": "mine.Mine", "orm": "default"}, "mine.Mine"),
    ],
)
def test_the_settings_choose_in_the_order_of_django_q(q_cluster, settings, path):
    q_cluster(**settings)

    assert broker_path() == path


def test_a_broker_class_of_ones_own_is_made_for_its_queue(q_cluster):
    q_cluster(broker_class=f"{__name__}.FireAndForget", name="mail")

    assert type(get_broker()) is FireAndForget
    assert (get_broker().list_key, get_broker("other").list_key) == ("mail", "other")


def make_one(list_key):
    """Give a broker, as a function that `broker_class` names."""
    return FireAndForget(list_key)


def test_a_function_may_make_the_broker(q_cluster):
    q_cluster(broker_class=f"{__name__}.make_one")

    assert (type(get_broker("mail")), get_broker("mail").list_key) == (FireAndForget, "mail")


@pytest.mark.parametrize("path", ["math.sqrt", "math.pi", "datetime.date", "os.getcwdb"])
def test_what_makes_no_broker_is_told(q_cluster, path):
    q_cluster(broker_class=path)

    with pytest.raises(ConfigurationError, match=f"{path}.*(makes no broker|cannot be called)"):
        get_broker()


def test_mongodb_is_told_to_be_gone(q_cluster):
    q_cluster(mongo={})

    with pytest.raises(ConfigurationError, match="no MongoDB broker any more"):
        get_broker()


@pytest.mark.parametrize(
    ("settings", "library", "extra"),
    [
        ({}, "redis", "redis"),
        ({"redis": "redis://h", "receipts": False}, "redis", "redis"),
        ({"disque_nodes": ["h"]}, "redis", "disque"),
        ({"sqs": {}}, "boto3", "sqs"),
        ({"sqs": {}}, "botocore", "sqs"),
        ({"iron_mq": {}}, "urllib3", "ironmq"),
    ],
)
def test_a_missing_library_is_told_with_its_cure(q_cluster, monkeypatch, settings, library, extra):
    q_cluster(**settings)
    for module in [name for name in sys.modules if name.startswith("django_q.brokers.")]:
        monkeypatch.delitem(sys.modules, module)
    parts = [name for name in sys.modules if name.startswith(f"{library}.")]
    for module in [library, *parts]:
        monkeypatch.setitem(sys.modules, module, None)

    words = rf"needs the library {library}, .*django-q3\[{extra}\].*\"orm\": \"default\""
    with pytest.raises(ConfigurationError, match=words):
        get_broker()


def test_a_class_that_does_not_exist_is_told(q_cluster):
    q_cluster(broker_class="nowhere.Mine")

    with pytest.raises(ConfigurationError, match=r"nowhere\.Mine.*broker_class"):
        get_broker()


def test_producers_share_one_broker_until_the_settings_change(q_cluster):
    q_cluster(broker_class=f"{__name__}.FireAndForget")
    first = shared_broker()

    assert shared_broker() is first
    assert shared_broker("other") is not first

    with override_settings(Q_CLUSTER={"broker_class": f"{__name__}.OldStyle"}):
        assert type(shared_broker()) is OldStyle
