"""A cluster of directory feeds over a network in memory, on a virtual clock. The same seed gives the same run."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from app.directory.antientropy import What
from app.directory.delta import origin_of
from app.directory.feed import Broadcast, Feed, Fetch, Noted
from gossip.membership import Member, MemberState


def member(name: str, state: MemberState = MemberState.ALIVE, **tags: str) -> Member:
    """A peer with an HTTP port and the protocol version 1, unless `tags` say otherwise."""
    return Member(name, "127.0.0.1", 7946, state, {"v": "1", "http": "5000", **tags})


@dataclass
class Node:
    member: Member
    feed: Feed
    listens_at: float
    noted: dict[Noted, int] = field(default_factory=dict)
    fetches: int = 0
    answered_bytes: int = 0
    ticks_at: float | None = None


class DirectoryCluster:
    """`loss` is the share of broadcasts that a receiver misses and of fetches that fail."""

    def __init__(self, seed: int, loss: float = 0.0, latency_s: float = 0.1) -> None:
        self.rng = random.Random(seed)
        self.now = 1000.0
        self.loss = loss
        self.latency_s = latency_s
        self.nodes: dict[str, Node] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._cut: set[str] = set()

    # -- what a test does --

    def add(self, name: str, listens_after_s: float = 0.0) -> Node:
        """Start a node; all that are there know of each other within the latency."""
        joiner = member(name)
        feed = Feed(joiner, int(self.now), random.Random(self.rng.random()), self.now)
        node = self.nodes[name] = Node(joiner, feed, self.now + listens_after_s)
        for other in self.nodes.values():
            if other is not node:
                self.at(self._later(), self._input(other, partial(self._join, other, joiner)))
                feed.joined(other.member, self.now)
        self._serve(node)
        return node

    def cut(self, name: str) -> None:
        """Nobody reaches the node and it reaches nobody: all believe each other dead."""
        self._cut.add(name)
        self._tell_both_ways(name, lambda node, other: node.feed.failed(replace(other, state=MemberState.FAILED)))

    def heal(self, name: str) -> None:
        """The node is reached again, and comes back to all."""
        self._cut.discard(name)
        self._tell_both_ways(name, lambda node, other: node.feed.joined(other, self.now))

    def add_key(self, name: str, fingerprint: int) -> None:
        self._input(self.nodes[name], lambda: self.nodes[name].feed.key_added(fingerprint, self.now))()

    def remove_key(self, name: str, fingerprint: int) -> None:
        self._input(self.nodes[name], lambda: self.nodes[name].feed.key_removed(fingerprint, self.now))()

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let the virtual time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def differences(self) -> list[str]:
        """Where a node's copy of another's filter is not exactly that filter."""
        found = []
        for node in self.nodes.values():
            for other in self.nodes.values():
                if other is node:
                    continue
                copy = node.feed.directory.snapshot(origin_of(other.member.name))
                own = other.feed.own
                state = None if copy is None else (copy.version.epoch, copy.version.revision)
                if copy is None or state != (own.epoch, own.revision) or copy.filter != own.filter:
                    found.append(f"{node.member.name} has {other.member.name} at {state}: {own.epoch, own.revision}")
        return found

    def total(self, noted: Noted) -> int:
        return sum(node.noted.get(noted, 0) for node in self.nodes.values())

    # -- how it works --

    def _tell_both_ways(self, name: str, tell: Callable[[Node, Member], None]) -> None:
        here = self.nodes[name]
        for other in self.nodes.values():
            if other is not here:
                self._input(other, partial(tell, other, here.member))()
                self._input(here, partial(tell, here, other.member))()

    def _parted(self, one: Node, other: Node) -> bool:
        return one is not other and bool(self._cut & {one.member.name, other.member.name})

    def _join(self, node: Node, joiner: Member) -> None:
        node.feed.joined(joiner, self.now)

    def _receive(self, node: Node, payload: bytes) -> None:
        node.feed.received(payload, self.now)

    def _later(self) -> float:
        return self.now + self.rng.uniform(0.001, self.latency_s)

    def _input(self, node: Node, change: Callable[[], None]) -> Callable[[], None]:
        def happen() -> None:
            if self.nodes.get(node.member.name) is node:
                change()
                self._serve(node)

        return happen

    def _serve(self, node: Node) -> None:
        for effect in node.feed.effects():
            match effect:
                case Broadcast():
                    self._broadcast(node, effect.payload)
                case Fetch():
                    node.fetches += 1
                    self.at(self._later(), partial(self._fetch, node, effect))
                case Noted():
                    node.noted[effect] = node.noted.get(effect, 0) + 1
        deadline = node.feed.next_deadline()
        if node.ticks_at is None or deadline < node.ticks_at:
            node.ticks_at = deadline
            self.at(max(deadline, self.now), lambda: self._tick(node, deadline))

    def _tick(self, node: Node, deadline: float) -> None:
        if node.ticks_at == deadline and self.nodes.get(node.member.name) is node:
            node.ticks_at = None
            node.feed.tick(self.now)
            self._serve(node)

    def _broadcast(self, sender: Node, payload: bytes) -> None:
        for other in self.nodes.values():
            if other is not sender and not self._parted(sender, other) and self.rng.random() >= self.loss:
                for _ in range(2 if self.rng.random() < 0.1 else 1):  # some arrive twice
                    self.at(self._later(), self._input(other, partial(self._receive, other, payload)))

    def _fetch(self, node: Node, question: Fetch) -> None:
        peer = self.nodes.get(question.member.name)
        lost = peer is None or self._parted(node, peer) or self.rng.random() < self.loss
        if peer is None or lost or peer.listens_at > self.now:
            self.at(self._later(), self._input(node, lambda: node.feed.fetch_failed(question.member, self.now)))
            return
        answer = b"".join(peer.feed.answer(What(question.what.value), question.body))
        peer.answered_bytes += len(answer)

        def fetched() -> None:
            for _ in node.feed.fetched(question.member, question.what, answer, self.now):
                pass

        self.at(self._later(), self._input(node, fetched))
