"""A queue as its model and the broker under test have it, and what both say of it."""

import dataclasses
from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from tests.properties.grounds import Ground
from tests.properties.reference import Package, Reference


@dataclasses.dataclass
class Loan:
    """A lease, with the receipts of the model and of the broker under test."""

    package: Package
    model_receipt: str
    receipt: str
    who: int


class Queue(RuleBasedStateMachine):
    """What was done so far, and what has to be true of what comes next."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self.model = Reference("model")
        self.brokers = self.ground.make_pair()
        self.packages: dict[str, Package] = {}
        self.loans: list[Loan] = []
        #: Deleted, but still on the server.
        self.marked: set[str] = set()

    @property
    def kind(self) -> Broker:
        """The broker that is asked what it can do."""
        return self.brokers[0]

    def ready(self) -> dict[str, Package]:
        ids = self.model.ready()
        return {each.payload: each for each in self.packages.values() if each.id in ids}

    def check_order(self, came: list[Package], ready: dict[str, Package]) -> None:
        left = dict(ready)
        for package in came:
            del left[package.payload]
            passed = [other.payload for other in left.values() if self._goes_before(other, package)]
            assert not passed, f"{package.payload} was lent before {passed}"

    def _goes_before(self, one: Package, other: Package) -> bool:
        is_lapsed, is_other_lapsed = map(self.model.is_lapsed, (one.id, other.id))
        return one.goes_before(other, is_lapsed=is_lapsed, is_other_lapsed=is_other_lapsed)

    def lend(self, who: int, leases: list[Lease]) -> None:
        packages = [self.packages[lease.payload] for lease in leases]
        in_model = self.model.lend([package.id for package in packages])
        for package, lease, model_lease in zip(packages, leases, in_model, strict=True):
            self._check_lease(package, lease)
            package.is_fresh = package.is_in_front = False
            if lease.receipt is None:
                assert not self.kind.has_receipts
                self.model.acknowledge(str(model_lease.receipt))
            else:
                self.loans.append(Loan(package, str(model_lease.receipt), lease.receipt, who))

    def _check_lease(self, package: Package, lease: Lease) -> None:
        package.tracking_id = package.tracking_id or lease.id
        assert lease.id in ("", package.tracking_id)
        if package.deliveries is None:
            package.deliveries = lease.deliveries
        else:
            package.deliveries += 1
        if self.ground.counts_deliveries:
            assert lease.deliveries == package.deliveries, package.payload

    def chosen(self, who: int, places: list[int], *, is_renewal: bool = False) -> list[Loan]:
        """Give loans whose receipts may be used: the seam says what becomes of them. Each once."""
        chosen = dict.fromkeys(-1 - place % len(self.loans) for place in places)
        loans = [self.loans[place] for place in chosen]
        return [loan for loan in loans if self._is_clear(loan, who, is_renewal)]

    def _is_clear(self, loan: Loan, who: int, is_renewal: bool) -> bool:
        if not self.kind.portable_receipts and loan.who != who:
            return False
        if loan.package.payload in self.marked:
            return not is_renewal
        if not self.model.is_there(loan.package.id):
            return True
        if not self.model.is_held(loan.model_receipt):
            return self.ground.fences
        return self.ground.holds_lapsed is not None or not self.model.is_lapsed(loan.package.id)

    def in_model(self, loans: list[Loan]) -> list[str]:
        """Give the receipts that have an effect, as the model knows them."""
        held = [loan for loan in loans if self.model.is_held(loan.model_receipt)]
        if self.ground.holds_lapsed is False:
            held = [loan for loan in held if not self.model.is_lapsed(loan.package.id)]
        return list(dict.fromkeys(loan.model_receipt for loan in held))

    def is_back(self, package: Package, delay: int = 0, *, counted: bool = False) -> None:
        package.is_in_front = not delay
        if package.deliveries is not None and not counted and not self.kind.release_counts:
            package.deliveries -= 1
        if delay and self.ground.renames:
            package.deliveries, package.tracking_id = None, ""
