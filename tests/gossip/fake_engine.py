"""An engine under the test's control, in a thread of its own."""

from collections.abc import Callable, Mapping, Sequence

import gevent
from gevent.monkey import get_original

from gossip.errors import Unreachable
from gossip.membership import Member, MembershipListener, MemberState
from gossip.swim.effects import Notice
from gossip.thread import ThreadedMembership
from tests.contracts.membership import Recorder
from tests.gossip.loopback import PORT, Notices

#: A sleep of the thread, not of a greenlet: the hub that calls it is blocked.
block = get_original("time", "sleep")


class FakeEngine:
    """An engine under the test's control; its methods run in the engine's thread."""

    def __init__(self, notify: Callable[[Notice], None]) -> None:
        self.notify = notify
        self.alive = False
        self.table = [Member("local", "10.0.0.1", PORT, MemberState.ALIVE)]
        self.listener: MembershipListener = Recorder()
        self.broadcasts: list[bytes] = []
        self.hold = False

    def start(self, listener: MembershipListener) -> None:
        self.listener = listener
        self.alive = True

    def join(self, addresses: Sequence[tuple[str, int]]) -> int:
        """As the first address's host says."""
        match addresses[0][0]:
            case "unreachable":
                raise Unreachable("no network")
            case "never":
                gevent.sleep(3600)
        return len(addresses)

    def broadcast(self, topic: str, payload: bytes) -> None:
        if topic == "kill":
            raise SystemExit("killed")
        if topic == "refuse":
            raise Unreachable("agent is gone")
        if topic == "flood":
            for number in range(int(payload)):
                self.listener.received("flood", b"%d" % number)
            self.listener.joined(Member("after the flood", "10.0.0.2", PORT, MemberState.ALIVE))
        while self.hold:
            block(0.001)
        self.broadcasts.append(payload)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Nothing to do."""

    def members(self) -> Sequence[Member]:
        return list(self.table)

    def local(self) -> Member:
        return self.table[0]

    def leave(self, timeout_s: float) -> bool:
        return True

    def stop(self) -> None:
        self.alive = False


class Fake:
    """A started `ThreadedMembership` around a `FakeEngine`, and what it told."""

    def __init__(self) -> None:
        self.notices = Notices()
        self.recorder = Recorder()
        self.engines: list[FakeEngine] = []
        self.node = ThreadedMembership(self._make, notify=self.notices)
        self.node.start(self.recorder)
        self.engine = self.engines[0]

    def _make(self, notify: Callable[[Notice], None]) -> FakeEngine:
        self.engines.append(FakeEngine(notify))
        return self.engines[0]
