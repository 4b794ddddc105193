"""moto's server, which lends one message once: python tests/servers/moto_server.py -H HOST -p PORT

Its threads look whether a message is visible and hide it in two steps, so that two who ask in the
same moment may both get it, and stumble over what the other has changed. Amazon's FIFO queues do
neither, and tests count on it.
"""

import threading
import time
from typing import Any

from moto import server
from moto.sqs.models import Message, SQSBackend

_lock = threading.Lock()
#: Seconds between two looks of a long poll.
_PAUSE = 0.02
_receive, _delete = SQSBackend.receive_message, SQSBackend.delete_message


def receive_alone(
    self: SQSBackend, queue_name: str, count: int, wait: int, *rest: Any
) -> list[Message]:
    """Stand in for moto's `receive_message`: no two look and hide at the same time."""
    end = time.monotonic() + wait
    while True:
        with _lock:
            messages = _receive(self, queue_name, count, 0, *rest)
        if messages or time.monotonic() >= end:
            return messages
        time.sleep(_PAUSE)


def delete_alone(self: SQSBackend, queue_name: str, receipt_handle: str) -> None:
    """Stand in for moto's `delete_message`, for the same reason."""
    with _lock:
        _delete(self, queue_name, receipt_handle)


def mend() -> None:
    """Let moto do so in this process."""
    SQSBackend.receive_message = receive_alone
    SQSBackend.delete_message = delete_alone


if __name__ == "__main__":
    mend()
    server.main()
