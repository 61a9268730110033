"""Names to addresses, by the system's resolver in gevent's thread pool, with a deadline of our own.

The system's resolver goes to TCP where an answer is too long for UDP, and so sees some 4,000 addresses of a
headless Service; it has no deadline that a caller could set.
"""

import ipaddress
import socket
from collections.abc import Callable

import gevent
from gevent import socket as gevent_socket

from app.address import Address
from app.bootstrap.contract import BootstrapError

#: Looks one host up: its addresses with the port, empty if there are none. Raises `BootstrapError`.
Lookup = Callable[[str, int], list[Address]]

# Longer than one time-out of the system's resolver (5 s), so that a first name server that is down is survived.
DEADLINE_S = 7.0

# "There is no such name" is an answer: a headless Service without a ready pod has none. The rest may pass.
_NO_ADDRESS = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


def lookup(host: str, port: int, *, deadline_s: float = DEADLINE_S) -> list[Address]:
    """A and AAAA records of `host`; an address is its own answer. Blocks at most `deadline_s`."""
    try:
        return [(str(ipaddress.ip_address(host)), port)]
    except ValueError:
        pass  # a name
    try:
        with gevent.Timeout(deadline_s, TimeoutError(f"no answer within {deadline_s:g} s")):
            found = gevent_socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_ADDRESS:
            return []
        raise BootstrapError(f"can't look up {host}: {error.strerror}") from error
    except (OSError, UnicodeError) as error:
        raise BootstrapError(f"can't look up {host}: {error}") from error
    return [(str(address[0]), port) for *_, address in found]
