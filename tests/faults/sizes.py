"""Sizes of packages, and results of every kind: F32."""

from typing import Any

from django.test import override_settings

from django_q.brokers.memory import Memory
from django_q.exceptions import PayloadTooLarge
from django_q.models import Task
from django_q.tasks import async_task
from tests.faults.arena import Arena
from tests.faults.scenario import scenario
from tests.waiting import wait_until

MIB = 2**20
#: The limit that this scenario sets: lower than that of any broker.
LIMIT = 96 * 1024
#: Bytes of the result that is too large for most.
HUGE = 2**30
#: Results that cannot be kept, by what gives them.
ODD = ("give_lambda", "give_generator", "give_socket")


@scenario("F32")
def sizes_and_results_of_every_kind(arena: Arena) -> None:
    """Sizes of packages up to 100 MB, a result of 1 GB, and results that cannot be kept."""
    arena.settings |= {"max_package": LIMIT, "timeout": 120}
    with override_settings(Q_CLUSTER=arena.settings):  # the producer is this process
        _send_and_compare(arena)


def _send_and_compare(arena: Arena) -> None:
    arena.cluster()
    largest = _largest_argument()
    fitting = [_size(length) for length in (0, largest - 1, largest)]
    refused = [_refusal(length) for length in (largest + 1, 100 * MIB)]
    odd = {name: async_task(f"tests.site.tasks.{name}") for name in ODD}
    unshowable = async_task("tests.site.tasks.give_unshowable")
    huge = async_task("tests.site.tasks.give_bytes", HUGE if arena.tasks >= 1000 else HUGE // 8)
    arena.send()
    arena.wait_done()

    ids = [*fitting, *odd.values(), unshowable, huge]
    rows = Task.objects.filter(pk__in=ids)
    wait_until(lambda: rows.count() == len(ids), 180, pause=0.2, what="a row of each")
    found = {row.id: row for row in rows.defer("result").order_by()}
    sizes = [found[id].success and Task.objects.get(pk=id).result for id in fitting]
    arena.findings.exactly("fit", sizes, [0, largest - 1, largest])
    told = [f'"max_package"] ({LIMIT})' in text for text in refused]
    arena.findings.exactly("refused before they are sent, with the limit", told, [True, True])
    texts = [str(Task.objects.get(pk=id).result) for id in odd.values()]
    told = ["could not be stored" in text for text in texts]
    arena.findings.exactly("cannot be stored, and told", told, [True] * len(ODD))
    arena.findings.holds("unshowable kept", found[unshowable].success)
    _note_huge(arena, found[huge])
    arena.count(dup=0)


def _size(length: int) -> str:
    return async_task("tests.site.odd.size", bytes(length), task_name="sized")


def _refusal(length: int, **options: Any) -> str:
    """Give the text with which a package is refused; "" when it is not."""
    data = bytes(length)
    try:
        async_task("tests.site.odd.size", data, task_name="sized", **options)
    except PayloadTooLarge as error:
        return str(error)
    return ""


def _largest_argument() -> int:
    """Find the longest argument that a package of the limit takes, by halving."""
    nowhere = Memory("nowhere")
    low, high = 0, LIMIT
    while low < high:
        middle = (low + high + 1) // 2
        if _refusal(middle, broker=nowhere):
            high = middle - 1
        else:
            low = middle
    nowhere.purge_queue()
    return low


def _note_huge(arena: Arena, row: Task) -> None:
    text = "" if row.success else str(Task.objects.get(pk=row.pk).result)
    arena.findings.holds(
        "huge result kept, or told that it could not be stored",
        row.success or "could not be stored" in text,
        text[:200],
    )
