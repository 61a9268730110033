"""A cluster in memory: what a test of the directory or the tracker puts in place of a membership engine.

Everything happens at once and in order: when a call returns, all listeners have been told. Passes the suite of
`tests/contracts/membership.py`, so it may be trusted as far as that goes.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from gossip.errors import Unreachable, UsageError
from gossip.membership import MAX_PAYLOAD_BYTES, Member, MembershipListener, MemberState

_MAX_TAG_BYTES = 512


class FakeCluster:
    """The network that fake nodes share, and what a test can make happen on it."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], FakeMembership] = {}
        self._hosts = count(1)
        self._pending: list[Callable[[], None]] = []
        self._delivering = False
        self.broadcasts: list[tuple[str, str, bytes]] = []
        """Every broadcast so far, as (sender, topic, payload)."""

    def node(self, name: str, tags: Mapping[str, str] | None = None, *, host: str = "") -> "FakeMembership":
        """A node that has not been started."""
        return FakeMembership(self, name, host or f"10.0.0.{next(self._hosts)}", dict(tags or {}))

    def started(self, name: str, tags: Mapping[str, str], listener: MembershipListener) -> "FakeMembership":
        """A node that runs and has joined all that run."""
        node = self.node(name, tags)
        node.start(listener)
        node.join([address for address in self._running if address != node.address])
        return node

    def at(self, address: tuple[str, int]) -> "FakeMembership | None":
        return self._running.get(address)

    def attach(self, node: "FakeMembership") -> None:
        if node.address in self._running:
            raise Unreachable(f"{node.address[0]}:{node.address[1]} is taken by {self._running[node.address].name}")
        self._running[node.address] = node

    def detach(self, node: "FakeMembership") -> None:
        self._running.pop(node.address, None)

    def others(self, node: "FakeMembership") -> "list[FakeMembership]":
        """The running nodes that `node` holds for present."""
        present = [member.name for member in node.members() if not member.state.absent]
        return [other for other in self._running.values() if other is not node and other.name in present]

    def tell(self, call: Callable[[], None]) -> None:
        """Call a listener, after those that are being called already: one at a time, never nested."""
        self._pending.append(call)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._pending:
                self._pending.pop(0)()
        finally:
            self._delivering = False


class FakeMembership:
    """One node of a `FakeCluster`."""

    def __init__(self, cluster: FakeCluster, name: str, host: str, tags: dict[str, str]) -> None:
        self.name = name
        self.address = (host, 7946)
        self._cluster = cluster
        self._listener: MembershipListener | None = None
        self._members = {name: Member(name, host, 7946, MemberState.ALIVE, tags)}

    def start(self, listener: MembershipListener) -> None:
        self._cluster.attach(self)
        self._listener = listener

    def join(self, addresses: Sequence[tuple[str, int]]) -> int:
        reached = 0
        for address in addresses:
            peer = self._cluster.at(address)
            if peer is not None and peer is not self:
                reached += 1
                self._meet(peer)
        return reached

    def broadcast(self, topic: str, payload: bytes) -> None:
        size = len(topic.encode()) + len(payload)
        if size > MAX_PAYLOAD_BYTES:
            raise UsageError(f"topic and payload are {size} bytes, a broadcast carries at most {MAX_PAYLOAD_BYTES}")
        self._cluster.broadcasts.append((self.name, topic, payload))
        for other in self._cluster.others(self):
            other.tell(lambda listener: listener.received(topic, payload))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        if sum(len(text.encode()) + 1 for pair in tags.items() for text in pair) > _MAX_TAG_BYTES:
            raise UsageError(f"the tags take more than {_MAX_TAG_BYTES} bytes; shorten or drop some")
        mine = self.local()
        self._members[self.name] = Member(mine.name, mine.host, mine.port, mine.state, dict(tags))
        self._show_to_others()

    def members(self) -> tuple[Member, ...]:
        return tuple(self._members.values())

    def local(self) -> Member:
        return self._members[self.name]

    def leave(self, timeout_s: float) -> bool:
        self._become(MemberState.LEFT)
        return True

    def stop(self) -> None:
        if self._listener is not None:
            self._listener = None
            if self.local().state is not MemberState.LEFT:
                self._become(MemberState.FAILED)
            self._cluster.detach(self)

    def suspect(self, name: str) -> None:
        """Let this node suspect a member."""
        known = self._members[name]
        self.learn(Member(name, known.host, known.port, MemberState.SUSPECT, known.tags))

    def lose(self) -> None:
        """Let this node have missed broadcasts."""
        self.tell(lambda listener: listener.lost())

    def learn(self, member: Member) -> None:
        """Take over what is told of a member, and tell the listener what is new in it."""
        before = self._members.get(member.name)
        self._members[member.name] = member
        was_absent = before is None or before.state.absent
        if before == member:
            return
        if member.state is MemberState.LEFT:
            self.tell(lambda listener: listener.left(member))
        elif member.state is MemberState.FAILED:
            self.tell(lambda listener: listener.failed(member))
        elif was_absent:
            self.tell(lambda listener: listener.joined(member))
        else:
            self.tell(lambda listener: listener.updated(member))

    def tell(self, call: Callable[[MembershipListener], None]) -> None:
        """Call the listener when it is its turn, if the node still runs then."""

        def deliver() -> None:
            if self._listener is not None:
                call(self._listener)

        self._cluster.tell(deliver)

    def _meet(self, peer: "FakeMembership") -> None:
        """Both clusters become one."""
        mine = [self, *self._cluster.others(self)]
        theirs = [peer, *self._cluster.others(peer)]
        for here in mine:
            for there in theirs:
                if here is not there:
                    here.learn(there.local())
                    there.learn(here.local())

    def _become(self, state: MemberState) -> None:
        mine = self.local()
        self._members[self.name] = Member(mine.name, mine.host, mine.port, state, mine.tags)
        self._show_to_others()

    def _show_to_others(self) -> None:
        for other in self._cluster.others(self):
            other.learn(self.local())
