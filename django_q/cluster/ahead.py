"""Opening packages before their turn: the clerk does it for each of a batch as it comes.

Those that take no code of their own; the others are left to the main thread. A processor is quicker
at the same few steps for each of a batch than at all that a task needs, task by task, of which it
has forgotten half by the next.
"""

from django_q.brokers import Lease
from django_q.package import TaskPackage
from django_q.sealed import open_plain

#: Length of the largest package that is opened before its turn, since some hundred may wait.
_LARGEST = 4096


def make_ready(lease: Lease) -> Lease:
    """Open a small package that comes for the first time, if that takes no code; gives the lease.

    What came before is not opened before its past is known.
    """
    if lease.deliveries == 1 and len(lease.payload) <= _LARGEST:
        lease.package = open_plain(lease.payload, lease.queue)
    return lease


def take_package(lease: Lease) -> TaskPackage | None:
    """Take out what a package holds, opened by now; None where opening it may run code.

    The lease, which is kept until its outcome is settled, does not keep that too.
    """
    package: TaskPackage | None
    package, lease.package = lease.package, None
    return open_plain(lease.payload, lease.queue) if package == "" else package
