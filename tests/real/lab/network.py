"""Network namespaces joined by a bridge that lies in a namespace of its own: the host sees none of their interfaces.

Addresses are 10.77.0.x in every run; they exist inside the namespaces only.
"""

import ctypes
import os
import socket
from pathlib import Path
from typing import Self

from tests.real.lab.command import CommandFailed, run
from tests.real.lab.runname import RunName

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Switch:
    """The namespace with the bridge that all links of a run end in."""

    def __init__(self, name: RunName) -> None:
        self.name = name
        self._namespace = f"{name}-switch"
        self._ports = 0

    @classmethod
    def create(cls, name: RunName) -> Self:
        switch = cls(name)
        run("ip", "netns", "add", switch._namespace)
        switch._ip("link", "add", "bridge", "type", "bridge")
        switch._ip("link", "set", "bridge", "up")
        return switch

    def plug_in(self, label: str, address: str) -> "Namespace":
        """A new namespace with the interface `eth0` at this address, and the link up."""
        namespace = Namespace(f"{self.name}-{label}", address)
        self._ports += 1
        port = f"port{self._ports}"
        run("ip", "netns", "add", namespace.name)
        self._ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace.name)
        self._ip("link", "set", port, "master", "bridge", "up")
        run("ip", "-n", namespace.name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", namespace.name, "link", "set", "lo", "up")
        run("ip", "-n", namespace.name, "link", "set", "eth0", "up")
        # Rykte takes the default route's address for its own where it is told none
        run("ip", "-n", namespace.name, "route", "add", "default", "dev", "eth0")
        return namespace

    def delete(self) -> None:
        run("ip", "netns", "delete", self._namespace)

    def _ip(self, *words: str) -> None:
        run("ip", "-n", self._namespace, *words)


class Namespace:
    """One host of the lab network."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    @property
    def path(self) -> Path:
        return Path("/run/netns", self.name)

    def delete(self) -> None:
        """The link goes with it."""
        run("ip", "netns", "delete", self.name)

    def slow_down(self, megabit_per_s: int) -> None:
        """Limit what this host sends; what it receives is not limited."""
        rate = f"{megabit_per_s}mbit"
        self._tc("replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "128kb", "latency", "100ms")

    def full_speed(self) -> None:
        try:
            self._tc("delete", "dev", "eth0", "root")
        except CommandFailed:
            return  # it was not slowed

    def cut(self) -> None:
        """Silence: packets vanish on the way in and out and nobody is told, as when a machine loses power."""
        for chain in ("INPUT", "OUTPUT"):
            self._iptables("-A", chain, "!", "-i" if chain == "INPUT" else "-o", "lo", "-j", "DROP")

    def mend(self) -> None:
        """Undo `cut`; harmless where nothing was cut."""
        self._iptables("-F", "INPUT")
        self._iptables("-F", "OUTPUT")

    def sent_bytes(self) -> int:
        """Bytes that left by the link since it was made, headers included."""
        output = run("ip", "netns", "exec", self.name, "cat", "/sys/class/net/eth0/statistics/tx_bytes")
        return int(output)

    def connect(self, port: int, host: str = "127.0.0.1", timeout_s: float = 10.0) -> socket.socket:
        """A TCP connection that comes from inside this namespace.

        A socket stays in the namespace it was made in; only its making needs this thread to be there, and nothing
        in between switches greenlets.
        """
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(self.path, os.O_RDONLY)
        try:
            _setns(other)
            try:
                connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                _setns(own)
        finally:
            os.close(own)
            os.close(other)
        connection.settimeout(timeout_s)
        try:
            connection.connect((host, port))
        except OSError:
            connection.close()
            raise
        return connection

    def _tc(self, *words: str) -> None:
        run("tc", "-n", self.name, "qdisc", *words)

    def _iptables(self, *words: str) -> None:
        run("ip", "netns", "exec", self.name, "iptables", "-w", *words)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)} (the lab needs root)")
