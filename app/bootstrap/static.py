"""A fixed list of members, by name or address."""

from collections.abc import Sequence

from app.address import Address
from app.bootstrap.contract import BootstrapError
from app.bootstrap.lookup import Lookup, lookup


class StaticBootstrapper:
    """Names are looked up anew each time, so that a member may move."""

    def __init__(self, peers: Sequence[Address], *, look_up: Lookup = lookup) -> None:
        self._peers = tuple(peers)
        self._look_up = look_up

    def addresses(self) -> Sequence[Address]:
        """Of all peers whose names can be looked up; raises only if that is true of none."""
        found: list[Address] = []
        failed: list[str] = []
        for host, port in self._peers:
            try:
                found.extend(self._look_up(host, port))
            except BootstrapError as error:
                failed.append(str(error))
        if failed and not found:
            raise BootstrapError("; ".join(failed[:3]))
        return found
