"""moto as the tests run it: its threads do not get into each other's way."""

import sys
import threading

import pytest

pytest.importorskip("moto")
from moto.sqs.models import SQSBackend

from tests.servers import moto_server


def test_a_message_is_lent_once_however_many_ask_at_the_same_moment(monkeypatch):
    monkeypatch.setattr(SQSBackend, "receive_message", moto_server.receive_alone)
    monkeypatch.setattr(SQSBackend, "delete_message", moto_server.delete_alone)
    backend = SQSBackend("eu-west-1", "123456789012")
    backend.create_queue("q.fifo", None, FifoQueue="true")
    sent = [f"message {number}" for number in range(120)]
    for body in sent:
        backend.send_message("q.fifo", body, group_id=body, deduplication_id=body)
    lent: list[str] = []

    def work() -> None:
        while messages := backend.receive_message("q.fifo", 7, 0, 30):
            for message in messages:
                lent.append(message.body)
                backend.delete_message("q.fifo", message.receipt_handle)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)

    assert sorted(lent) == sorted(sent)
