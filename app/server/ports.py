"""Whether the node's ports are free, asked before anything is started, and said in words that help.

gunicorn itself would try a busy port five times, a second each, and end with a log line that names no option.
"""

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from app.address import Address, host_port

_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
_SHOW_USER = {"TCP": "ss -ltnp", "UDP": "ss -lunp"}


@dataclass(frozen=True, slots=True)
class Port:
    """A port that an option asks for. `protocol` is `TCP` or `UDP`."""

    flag: str
    address: Address
    protocol: str

    @property
    def shown(self) -> str:
        """The address as it is written in options."""
        return host_port(*self.address)

    def problem(self, error: OSError) -> str:
        """What to tell the operator when this port could not be bound."""
        number = self.address[1]
        if isinstance(error, PermissionError):
            remedy = "choose a port from 1024 up, or give the process CAP_NET_BIND_SERVICE"
        elif error.errno == errno.EADDRNOTAVAIL:
            remedy = "choose an address that this machine has, see `ip address`"
        else:
            remedy = f"end what uses it (`{_SHOW_USER[self.protocol]} 'sport = :{number}'` shows it) or choose another"
        reason = error.strerror or error
        return f"{self.flag} {self.shown}: can't listen on {self.protocol} port {number}: {reason}; {remedy}"


def port_problems(ports: list[Port]) -> list[str]:
    """One text for each port that can't be bound now; nothing stays bound."""
    problems = []
    with ExitStack() as bound:
        for port in ports:
            host, number = port.address
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            probe = bound.enter_context(socket.socket(family, _KINDS[port.protocol]))
            if port.protocol == "TCP":
                # as the real listener does: connections of the last run that linger are in nobody's way
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, number))
            except OSError as error:
                problems.append(port.problem(error))
    return problems
