"""What every bootstrapper promises; a new one subclasses this and says how to make one."""

import ipaddress
from collections.abc import Sequence

import pytest

from app.bootstrap.contract import Address, BootstrapError, Bootstrapper


class FakeLookup:
    """A resolver with records of its own: `records[host]` are addresses, or why the look-up fails."""

    def __init__(self, records: dict[str, list[str] | BootstrapError]) -> None:
        self.records = records

    def __call__(self, host: str, port: int) -> list[Address]:
        found = self.records.get(host, [])
        if isinstance(found, BootstrapError):
            raise found
        return [(address, port) for address in found]


class BootstrapperContract:
    """Subclass, and give the three kinds of worlds that there are."""

    def with_members(self) -> tuple[Bootstrapper, Sequence[Address]]:
        """A bootstrapper and what it should find."""
        raise NotImplementedError

    def without_members(self) -> Bootstrapper:
        """One whose place is there and names nobody."""
        raise NotImplementedError

    def out_of_order(self) -> Bootstrapper | None:
        """One whose place can't be asked; None if that can't happen."""
        raise NotImplementedError

    def test_it_finds_what_is_there(self) -> None:
        """In any order."""
        bootstrapper, expected = self.with_members()
        assert sorted(bootstrapper.addresses()) == sorted(expected)

    def test_it_may_be_asked_again(self) -> None:
        """An answer does not use anything up."""
        bootstrapper, _ = self.with_members()
        assert sorted(bootstrapper.addresses()) == sorted(bootstrapper.addresses())

    def test_addresses_are_addresses(self) -> None:
        """No names: they are compared with members' addresses."""
        bootstrapper, _ = self.with_members()
        for host, port in bootstrapper.addresses():
            assert str(ipaddress.ip_address(host)) == host
            assert 0 < port < 65536

    def test_nobody_is_an_answer(self) -> None:
        """An empty place is no error."""
        assert list(self.without_members().addresses()) == []

    def test_a_place_that_cannot_be_asked_is_a_bootstrap_error(self) -> None:
        """With words for the log, and again the next time."""
        bootstrapper = self.out_of_order()
        for _ in range(2):
            if bootstrapper is None:
                break
            with pytest.raises(BootstrapError, match=r"\w"):
                bootstrapper.addresses()
