"""Members by the records of a name."""

from collections.abc import Sequence

from app.address import Address
from app.bootstrap.contract import BootstrapError, Bootstrapper
from app.bootstrap.dns import DnsBootstrapper
from tests.contracts.bootstrapper import BootstrapperContract, FakeLookup

_NAME = "rykte.ns.svc.test."


class TestDnsBootstrapper(BootstrapperContract):
    """A headless Service with A and AAAA records."""

    def with_members(self) -> tuple[Bootstrapper, Sequence[Address]]:
        lookup = FakeLookup({_NAME: ["10.0.0.1", "10.0.0.2", "fd00::1"]})
        expected = [("10.0.0.1", 7946), ("10.0.0.2", 7946), ("fd00::1", 7946)]
        return DnsBootstrapper(_NAME, 7946, look_up=lookup), expected

    def without_members(self) -> Bootstrapper:
        return DnsBootstrapper(_NAME, 7946, look_up=FakeLookup({}))

    def out_of_order(self) -> Bootstrapper | None:
        return DnsBootstrapper(_NAME, 7946, look_up=FakeLookup({_NAME: BootstrapError("no name server")}))
