"""Directories over the real gossip protocol on its virtual clock: what `app.directory.service` does, without a hub.

Fetches are answered by the other node's feed after a round trip of the virtual network.
"""

import random
from collections.abc import Callable
from functools import partial

from app.directory.delta import TOPIC
from app.directory.feed import Broadcast, Feed, Fetch, Noted
from gossip.membership import Member
from gossip.simulate import Simulation

_ROUND_TRIP_S = 0.003
TAGS = {"v": "1", "http": "5000"}


class SwimDirectories:
    """A cluster by size; `settle` until all know each other."""

    def __init__(self, size: int, seed: int) -> None:
        self.simulation = Simulation(seed)
        self.nodes = [SwimDirectory(self, f"n{number}") for number in range(size)]
        self.by_name = {node.name: node for node in self.nodes}
        seeds = [node.membership.address for node in self.nodes[:3]]
        for node in self.nodes:
            node.membership.begin_join(
                [each for each in seeds if each != node.membership.address], lambda _reached: None
            )

    def settle(self, timeout_s: float = 120.0) -> bool:
        """Run until every directory has everybody's filter."""
        others = len(self.nodes) - 1
        return self.simulation.run_until(
            lambda: all(node.feed.directory.usable() == others for node in self.nodes), timeout_s
        )

    def knowing(self, fingerprint: int, holder: str) -> int:
        """How many of the others take `holder` for a candidate."""
        return sum(
            any(member.name == holder for member in node.feed.directory.candidates(fingerprint))
            for node in self.nodes
            if node.name != holder
        )

    def differences(self) -> int:
        """Pairs of nodes where one's copy of the other's filter is not exactly that filter."""
        return sum(not node.has_exactly(other) for node in self.nodes for other in self.nodes if node is not other)

    def total(self, noted: Noted) -> int:
        return sum(node.noted.get(noted, 0) for node in self.nodes)


class SwimDirectory:
    """One node: the listener of a simulated engine, around a feed."""

    def __init__(self, cluster: SwimDirectories, name: str) -> None:
        self.name = name
        self.noted: dict[Noted, int] = {}
        self._cluster = cluster
        self._simulation = cluster.simulation
        self._tick_at = float("inf")
        self.membership = self._simulation.node(name, TAGS)
        self.membership.start(self)  # alone: the listener has nothing to hear yet
        self.feed = Feed(self.membership.local(), 1000, random.Random(f"{name}/feed"), self._simulation.now)
        self._runs = True
        self._serve()

    # -- what a test does --

    def has_exactly(self, other: "SwimDirectory") -> bool:
        copy = self.feed.directory.snapshot(other.feed.own.origin)
        return copy is not None and copy.filter == other.feed.own.filter

    def add(self, fingerprint: int) -> None:
        self.feed.key_added(fingerprint, self._simulation.now)
        self._serve()

    def kill(self) -> None:
        """Vanish: neither gossip nor HTTP from now on."""
        self._runs = False
        self.membership.stop()

    # -- MembershipListener --

    def joined(self, member: Member) -> None:
        self.feed.joined(member, self._simulation.now)
        self._serve()

    def updated(self, member: Member) -> None:
        self.feed.updated(member, self._simulation.now)
        self._serve()

    def left(self, member: Member) -> None:
        self.feed.left(member)

    def failed(self, member: Member) -> None:
        self.feed.failed(member)

    def received(self, topic: str, payload: bytes) -> None:
        if topic == TOPIC:
            self.feed.received(payload, self._simulation.now)
            self._serve()

    def lost(self) -> None:
        self.feed.lost(self._simulation.now)

    # -- what the service does --

    def _serve(self) -> None:
        for effect in self.feed.effects():
            match effect:
                case Broadcast():
                    # after this event: a listener may not call back into its engine
                    self._after(0.0, partial(self.membership.broadcast, TOPIC, effect.payload))
                case Fetch():
                    self._after(_ROUND_TRIP_S, partial(self._fetched, effect))
                case Noted():
                    self.noted[effect] = self.noted.get(effect, 0) + 1
        deadline = self.feed.next_deadline()
        if deadline < self._tick_at:
            self._tick_at = deadline
            self._after(max(0.0, deadline - self._simulation.now), partial(self._tick, deadline))

    def _tick(self, deadline: float) -> None:
        if self._tick_at == deadline and self._runs:
            self._tick_at = float("inf")
            self.feed.tick(self._simulation.now)
            self._serve()

    def _fetched(self, question: Fetch) -> None:
        peer = self._cluster.by_name[question.member.name]
        if peer._runs:
            answer = b"".join(peer.feed.answer(question.what, question.body))
            for _ in self.feed.fetched(question.member, question.what, answer, self._simulation.now):
                pass
        else:
            self.feed.fetch_failed(question.member, self._simulation.now)
        self._serve()

    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        self._simulation.schedule(self._simulation.now + delay_s, act)
