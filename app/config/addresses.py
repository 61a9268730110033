"""Which address of this machine others reach it by, and which means all of them."""

import socket
from collections.abc import Callable

# Addresses set aside for documentation (RFC 5737, RFC 3849): connecting a datagram socket sends nothing, it only
# makes the kernel choose a route and with it the address that packets would leave from.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_ANY_PORT = 9

#: Hosts that mean all interfaces.
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - all interfaces is what they are for


def default_route_address(open_socket: Callable[..., socket.socket] = socket.socket) -> str | None:
    """The address that packets leave from on the default route, IPv4 first; None without such a route."""
    for family, elsewhere in _ELSEWHERE:
        try:
            with open_socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, _ANY_PORT))
                return str(probe.getsockname()[0])
        except OSError:  # no route, or a kernel without this family
            continue
    return None


def wildcard(address: str) -> str:
    """The host to bind for all interfaces in the family of `address` (`::` takes IPv4 as well on Linux)."""
    return "::" if ":" in address else "0.0.0.0"  # noqa: S104 - it is what was asked for
