"""The contract of a bootstrapper: where some members may be found.

A new one is a file in this folder, a line in `BOOTSTRAPPERS`, and a subclass of `tests/contracts/bootstrapper.py`.
"""

from collections.abc import Sequence
from typing import Protocol

from app.address import Address


class BootstrapError(Exception):
    """The place where members are told of can't be asked now; the text says which and why. Try again later."""


class Bootstrapper(Protocol):
    """Asked again and again, for ever; keeps no state that a later answer would depend on."""

    def addresses(self) -> Sequence[Address]:
        """Gossip addresses of some members, in any order, the own one perhaps among them; empty if there are none.

        Hosts are IP addresses. An answer is a hint and may be old. May block for seconds (switching greenlets), never
        for ever. Raises `BootstrapError`.
        """
