"""Real engines on loopback: quick settings, addresses of their own, waiting with a deadline."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from random import Random

import gevent
from gevent import socket

from gossip.membership import Membership
from gossip.swim.effects import Notice
from gossip.swim.protocol import LocalNode
from gossip.swim.settings import LAN, Settings
from gossip.udp import UdpDriver
from gossip.wire.keyring import Keyring
from gossip.wire.stream import StreamDecoder

PORT = 7946
PATIENCE_S = 30.0
SETTLE_S = 0.3

#: Five times as fast as a real network's, with the same proportions.
FAST = replace(
    LAN,
    probe_interval_s=0.2,
    probe_timeout_s=0.1,
    gossip_interval_s=0.04,
    push_pull_interval_s=6.0,
    push_pull_after_join_s=0.4,
    reconnect_s=(0.2, 1.0),
    stream_timeout_s=2.0,
)

_numbers = count(1)


def fresh_host() -> str:
    """An address of 127.0.0.0/8 that no other test of this process gets, nor one of a process beside it."""
    number = next(_numbers)
    return f"127.{100 + os.getpid() % 100}.{number // 250}.{1 + number % 250}"


def wait(condition: Callable[[], bool]) -> None:
    """Let time pass until `condition` holds; AssertionError after `PATIENCE_S`."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, f"not within {PATIENCE_S:g} s"
        gevent.sleep(0.005)


class Notices:
    """Keeps what an engine says for the log."""

    def __init__(self) -> None:
        self.kept: list[Notice] = []

    def __call__(self, notice: Notice) -> None:
        self.kept.append(notice)

    def events(self) -> list[str]:
        return [notice.event for notice in self.kept]


def driver(
    name: str,
    host: str,
    tags: Mapping[str, str] | None = None,
    settings: Settings = FAST,
    keyring: Keyring | None = None,
) -> UdpDriver:
    """An embedded engine that has not been started."""
    local = LocalNode(name, host, PORT, dict(tags or {}))
    return UdpDriver(settings, local, rng=Random(name), notify=Notices(), keyring=keyring)


class Harness:
    """What `MembershipSuite` needs: nodes, which are stopped at the end, whatever the test did."""

    def __init__(self, make: Callable[[str, str, Mapping[str, str]], Membership], settle_s: float = SETTLE_S) -> None:
        """`make(name, host, tags)` gives a node that has not been started."""
        self._make = make
        self._settle_s = settle_s
        self._nodes: list[Membership] = []

    def node(self, name: str, tags: Mapping[str, str] | None = None, *, host: str = "") -> Membership:
        node = self._make(name, host or fresh_host(), dict(tags or {}))
        self._nodes.append(node)
        return node

    def wait(self, condition: Callable[[], bool]) -> None:
        wait(condition)

    def settle(self) -> None:
        gevent.sleep(self._settle_s)

    def stop(self) -> None:
        for node in self._nodes:
            node.stop()


def connect(node: UdpDriver) -> socket.socket:
    """A stream to a node that has been started."""
    return socket.create_connection((node.local().host, PORT), timeout=10)


def answer(stream: socket.socket) -> object:
    """The one message that comes back on a stream, or None."""
    decoder = StreamDecoder()
    while data := stream.recv(65536):
        if (message := decoder.feed(data)) is not None:
            return message
    return None
