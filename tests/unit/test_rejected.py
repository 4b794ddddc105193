"""Packages that were refused are kept, whatever is in them."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.models import Rejected
from django_q.package import build_package
from django_q.results import rejected
from django_q.results.rejected import Rejection
from django_q.sealed import open_package, seal_package
from tests.site import databases


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
@pytest.mark.parametrize("reason", ["a\0b", "\ud800", "\N{GRINNING FACE}"])
def test_any_reason_is_kept(database: str, reason: str) -> None:
    rejected.keep(Rejection("q", "payload", reason, "r"))

    assert Rejected.objects.count() == 1


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_bytes_in_disguise_are_kept_as_text_and_can_be_let_in_again(
    database: str, q_cluster: Callable[..., Any]
) -> None:
    q_cluster(broker_class="django_q.brokers.memory.Memory")
    package = build_package("math.sqrt", ("\0\xff" * 1000,), {}, {})
    payload = seal_package(package, "q", as_bytes=True)

    for _ in range(2):
        rejected.keep(Rejection("q", payload, "why", "r"))

    kept = Rejected.objects.get()
    assert kept.payload.isascii() and kept.payload != payload
    assert kept.digest == Rejected.digest_of("q", kept.payload)
    assert open_package(kept.payload, "q") == package


def test_any_payload_is_kept_once(database: str) -> None:
    for _ in range(2):
        rejected.keep(Rejection("q", "pay\ud800load\0", "why", "r"))

    assert Rejected.objects.get().payload == "pay\\ud800load\\0"
