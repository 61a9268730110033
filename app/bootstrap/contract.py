"""The contract of a bootstrapper: where some members may be found.

A new one is a file in this folder, a line in `BOOTSTRAPPERS`, and a subclass of `tests/contracts/bootstrapper.py`.
"""

from collections.abc import Sequence
from typing import Protocol

#: A member's gossip address: an IPv4 or IPv6 address in text, and a port.
Address = tuple[str, int]


class BootstrapError(Exception):
    """The place where members are told of can't be asked now; the text says which and why. Try again later."""


class Bootstrapper(Protocol):
    """Asked again and again, for ever; keeps no state that a later answer would depend on."""

    def addresses(self) -> Sequence[Address]:
        """Addresses of some members, the own one perhaps among them, in any order; empty if there are none.

        An answer is a hint and may be old. May block for seconds (switching greenlets), never for ever.
        Raises `BootstrapError`.
        """
