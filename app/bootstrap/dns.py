"""Members by a DNS name with their A and AAAA records, such as a headless Service."""

from collections.abc import Sequence

from app.address import Address
from app.bootstrap.lookup import Lookup, lookup


class DnsBootstrapper:
    """`port` is the gossip port of every member: address records carry none."""

    def __init__(self, name: str, port: int, *, look_up: Lookup = lookup) -> None:
        self._name = name
        self._port = port
        self._look_up = look_up

    def addresses(self) -> Sequence[Address]:
        """All that the name has now; none if there is no such name (yet)."""
        return self._look_up(self._name, self._port)
