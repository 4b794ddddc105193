"""Opening a package that may run code: within a limit, and whatever comes of it only rejects it."""

from django_q.brokers import Lease
from django_q.conf import Conf
from django_q.exceptions import PackageRejected, TimeoutException
from django_q.package import TaskPackage
from django_q.results.ledger import History
from django_q.results.rejected import Rejection
from django_q.sealed import open_package
from django_q.soft_limit import SoftLimit


def open_or_reject(lease: Lease, past: History, soft_limit: SoftLimit) -> TaskPackage | Rejection:
    """Open a package, or say why it is rejected. Called by a worker's main thread."""
    try:
        if past.in_opening and (past.verdict or past.deaths >= Conf.MAX_DEATHS):
            raise PackageRejected(f"Opening it ended {past.deaths} workers: {past.reason}")
        with soft_limit.within(Conf.OPEN_TIMEOUT, "Opening the package"):
            return open_package(lease.payload, lease.queue)
    except (PackageRejected, TimeoutException) as error:
        reason = str(error)
    except BaseException as error:  # unpickling is user code: SystemExit and worse
        reason = f"Opening it raised {type(error).__name__}: {error}"
    return Rejection(lease.queue, lease.payload, reason, lease.receipt)
