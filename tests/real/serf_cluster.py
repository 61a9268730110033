"""Engines as the product runs them and a stock agent, in one cluster."""

from collections.abc import Callable
from random import Random

from gossip.engine_thread import Engine
from gossip.membership import MemberState
from gossip.swim.effects import Notice
from gossip.swim.protocol import LocalNode
from gossip.swim.settings import LAN
from gossip.thread import ThreadedMembership
from gossip.udp import UdpDriver
from gossip.wire.keyring import Keyring
from tests.contracts.membership import Recorder, states
from tests.gossip.loopback import PORT, Notices, fresh_host, wait
from tests.real.serf_agent import SerfAgent


class RykteNode:
    """An engine as the product runs it, at stock speed, and what it told."""

    def __init__(self, name: str, keyring: Keyring | None = None) -> None:
        self.name = name
        self.keyring = keyring
        self.host = fresh_host()
        self.recorder = Recorder()
        self.notices = Notices()
        self.drivers: list[UdpDriver] = []
        self.membership = ThreadedMembership(self._make, notify=self.notices)

    def _make(self, notify: Callable[[Notice], None]) -> Engine:
        local = LocalNode(self.name, self.host, PORT, {"node": self.name, "zone": "a"})
        self.drivers.append(UdpDriver(LAN, local, rng=Random(self.name), notify=notify, keyring=self.keyring))
        return self.drivers[0]

    def state_of(self, name: str) -> MemberState | None:
        return states(self.membership).get(name)


class Cluster:
    """The agent, and three nodes that found each other through it."""

    def __init__(self, agent: SerfAgent, nodes: list[RykteNode]) -> None:
        self.agent = agent
        self.nodes = nodes

    def form(self) -> None:
        for node in self.nodes:
            node.membership.start(node.recorder)
            assert node.membership.join([self.agent.address]) == 1
        everybody = {"agent", *(node.name for node in self.nodes)}
        wait(lambda: all(set(states(node.membership)) == everybody for node in self.nodes))
        wait(lambda: self.agent.statuses() == dict.fromkeys(everybody, "alive"))

    def stop(self) -> None:
        for node in self.nodes:
            node.membership.stop()
