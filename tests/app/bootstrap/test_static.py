"""A fixed list of members."""

from collections.abc import Sequence

from app.address import Address
from app.bootstrap.contract import BootstrapError, Bootstrapper
from app.bootstrap.static import StaticBootstrapper
from tests.contracts.bootstrapper import BootstrapperContract, FakeLookup

_DOWN = BootstrapError("can't look up b.test: try again")


class TestStaticBootstrapper(BootstrapperContract):
    """Names with one or several addresses."""

    def with_members(self) -> tuple[Bootstrapper, Sequence[Address]]:
        lookup = FakeLookup({"a.test": ["10.0.0.1", "fd00::1"], "10.0.0.9": ["10.0.0.9"]})
        peers = [("a.test", 7946), ("10.0.0.9", 7000)]
        return StaticBootstrapper(peers, look_up=lookup), [("10.0.0.1", 7946), ("fd00::1", 7946), ("10.0.0.9", 7000)]

    def without_members(self) -> Bootstrapper:
        return StaticBootstrapper([("gone.test", 7946)], look_up=FakeLookup({}))

    def out_of_order(self) -> Bootstrapper | None:
        return StaticBootstrapper([("b.test", 7946)], look_up=FakeLookup({"b.test": _DOWN}))


def test_one_name_that_fails_does_not_hide_the_others() -> None:
    """Whoever can be found is."""
    lookup = FakeLookup({"a.test": ["10.0.0.1"], "b.test": _DOWN})
    bootstrapper = StaticBootstrapper([("b.test", 1), ("a.test", 2)], look_up=lookup)
    assert bootstrapper.addresses() == [("10.0.0.1", 2)]


def test_a_name_is_looked_up_anew_each_time() -> None:
    """A member may have moved."""
    lookup = FakeLookup({"a.test": ["10.0.0.1"]})
    bootstrapper = StaticBootstrapper([("a.test", 1)], look_up=lookup)
    first = bootstrapper.addresses()
    lookup.records["a.test"] = ["10.0.0.2"]
    assert (first, bootstrapper.addresses()) == ([("10.0.0.1", 1)], [("10.0.0.2", 1)])


def test_plain_addresses_need_no_resolver() -> None:
    """The real look-up answers them by itself."""
    assert StaticBootstrapper([("127.0.0.1", 1), ("::1", 2)]).addresses() == [("127.0.0.1", 1), ("::1", 2)]
