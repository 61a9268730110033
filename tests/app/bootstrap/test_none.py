"""The lone node's bootstrapper."""

from collections.abc import Sequence

from app.address import Address
from app.bootstrap.contract import Bootstrapper
from app.bootstrap.none import NoBootstrapper
from tests.contracts.bootstrapper import BootstrapperContract


class TestNoBootstrapper(BootstrapperContract):
    """It is asked as the others are."""

    def with_members(self) -> tuple[Bootstrapper, Sequence[Address]]:
        return NoBootstrapper(), []

    def without_members(self) -> Bootstrapper:
        return NoBootstrapper()

    def out_of_order(self) -> Bootstrapper | None:
        return None
