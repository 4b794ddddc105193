"""What was wrong with the brokers of Django Q, and which tests show that it is not any more.

Most of it is shown where the subject is; the tests are named here, and must be there.
"""

import re
import time
from pathlib import Path

import pytest

from django_q.brokers import get_broker

ROOT = Path(__file__).parents[2]
#: Defect -> file and test about what is true now.
SHOWN = {
    "D1 Redis loses what a dead worker had": (
        "tests/cluster/test_kills.py",
        "test_killed_workers_idle_and_busy_lose_nothing",
    ),
    "D9 leases run out while packages wait in the worker": (
        "tests/cluster/test_leases.py",
        "test_tasks_longer_than_retry_run_once",
    ),
    "D12 a package that cannot be opened kills the reader": (
        "tests/cluster/test_input.py",
        "test_packages_that_cannot_be_opened_are_rejected_once",
    ),
    "D19 ORM: no order": ("django_q/testing/broker_suite.py", "test_packages_come_in_order"),
    "D19 ORM: no index": (
        "tests/brokers/test_orm_claims.py",
        "test_a_claim_reads_no_more_than_it_takes",
    ),
    "D19 ORM: consumers race": (
        "tests/brokers/test_orm.py",
        "test_two_processes_share_five_thousand",
    ),
    "D19 ORM: polls five times a second": (
        "tests/brokers/test_orm_claims.py",
        "test_an_idle_lease_wakes_for_a_new_package",
    ),
    "D20 an error of the broker ends the reader": (
        "tests/cluster/test_servers.py",
        "test_redis_goes_in_the_middle_of_a_drain",
    ),
    "D20 a producer does not try again": (
        "tests/brokers/test_redis.py",
        "test_a_connection_that_broke_is_made_again",
    ),
    "D26 the producer's retry counts": (
        "tests/brokers/test_old_defects.py",
        "test_a_lease_lasts_as_long_as_the_retry_of_who_leases",
    ),
    "D31 dead heartbeats hide live ones": (
        "tests/brokers/test_redis_server.py",
        "test_heartbeats_of_the_dead_leave_the_set",
    ),
    "SQS: a stale queue_size": (
        "tests/brokers/test_sqs_requests.py",
        "test_sizes_are_asked_for_anew_each_time",
    ),
    "SQS: changes bulk and the settings": (
        "tests/brokers/test_sqs_requests.py",
        "test_the_settings_and_bulk_are_left_as_they_are",
    ),
    "SQS: ping never reaches AWS": (
        "tests/brokers/test_sqs_requests.py",
        "test_every_ping_reaches_amazon",
    ),
    "SQS: a request for each acknowledgement": (
        "tests/brokers/test_sqs_requests.py",
        "test_ten_receipts_are_one_request_whatever_is_done_with_them",
    ),
    "SQS, Disque, IronMQ: no renewal": (
        "tests/cluster/test_every_broker.py",
        "test_a_task_longer_than_retry_runs_once",
    ),
    "IronMQ: acknowledgements have no effect": (
        "tests/brokers/ironmq/test_requests.py",
        "test_an_acknowledgement_takes_effect",
    ),
    "IronMQ: no limit of time": (
        "tests/brokers/ironmq/test_trouble.py",
        "test_a_server_that_accepts_and_never_answers",
    ),
    "IronMQ: a connection for each call": (
        "tests/brokers/ironmq/test_trouble.py",
        "test_calls_share_one_connection_until_it_was_idle_for_long",
    ),
    "Disque: bodies with spaces break a command": (
        "tests/brokers/test_disque_ways.py",
        "test_bodies_may_have_spaces_and_any_other_character",
    ),
    "Disque: packages live for a day": (
        "tests/brokers/test_disque_ways.py",
        "test_packages_live_seven_days_and_come_again_after_retry",
    ),
}


@pytest.mark.parametrize("defect", SHOWN)
def test_each_defect_has_a_test_of_what_is_true_now(defect):
    file, name = SHOWN[defect]

    assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("place", ["redis", "orm"])
def test_a_lease_lasts_as_long_as_the_retry_of_who_leases(redis_url, database, q_cluster, place):
    where = {"redis": redis_url} if place == "redis" else {"orm": database}
    q_cluster(**where, retry=3600)
    get_broker().enqueue_many(["a", "b"])

    q_cluster(**where, retry=0.3)
    assert [lease.payload for lease in get_broker().lease(2)] == ["a", "b"]
    q_cluster(**where, retry=3600)
    time.sleep(0.4)
    assert [lease.payload for lease in get_broker().lease(2)] == ["a", "b"]
    q_cluster(**where, retry=0.3)
    time.sleep(0.4)
    assert get_broker().lease(2) == []
