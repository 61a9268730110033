"""The engine in a thread of its own: it keeps the contract, survives a blocked app, and never dies in silence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

import gevent
import pytest
from gevent.monkey import get_original

from gossip import engine_thread
from gossip.engine_thread import Engine
from gossip.errors import Unreachable, UsageError
from gossip.membership import Member, Membership, MembershipListener, MemberState
from gossip.swim.effects import Notice
from gossip.swim.protocol import LocalNode
from gossip.thread import ThreadedMembership
from gossip.udp import UdpDriver
from tests.contracts.membership import MembershipSuite, Recorder
from tests.gossip.loopback import FAST, PORT, SETTLE_S, Notices, fresh_host, wait

#: A sleep of the thread, not of a greenlet: the hub that calls it is blocked.
block = get_original("time", "sleep")


def threaded_driver(
    name: str, host: str, tags: Mapping[str, str], notify: Callable[[Notice], None]
) -> ThreadedMembership:
    def make(notify: Callable[[Notice], None]) -> Engine:
        return UdpDriver(FAST, LocalNode(name, host, PORT, tags), rng=Random(name), notify=notify)

    return ThreadedMembership(make, notify=notify)


class ThreadHarness:
    """Nodes that are stopped at the end, whatever the test did."""

    def __init__(self) -> None:
        self._nodes: list[ThreadedMembership] = []

    def node(self, name: str, tags: Mapping[str, str] | None = None, *, host: str = "") -> Membership:
        node = threaded_driver(name, host or fresh_host(), dict(tags or {}), Notices())
        self._nodes.append(node)
        return node

    def wait(self, condition: Callable[[], bool]) -> None:
        wait(condition)

    def settle(self) -> None:
        gevent.sleep(SETTLE_S)

    def stop(self) -> None:
        for node in self._nodes:
            node.stop()


class TestThreadedMembership(MembershipSuite):
    """The contract, over the real driver."""

    @pytest.fixture
    def harness(self) -> Iterator[ThreadHarness]:
        harness = ThreadHarness()
        yield harness
        harness.stop()


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


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.engine.hold = False
    fake.node.stop()


def test_a_blocked_app_hub_misses_no_ping() -> None:
    """While the app's hub is blocked for longer than a suspicion lasts, nobody declares the node dead."""
    node = threaded_driver("node", fresh_host(), {}, Notices())
    observer = threaded_driver("observer", fresh_host(), {}, Notices())
    seen = Recorder()
    node.start(Recorder())
    observer.start(seen)
    observer.join([(node.local().host, PORT)])
    block(2.0)
    gevent.sleep(SETTLE_S)
    assert seen.count("failed", "node") == 0
    assert node.alive
    node.stop()
    observer.stop()


def test_alive(fake: Fake) -> None:
    """Alive is what the engine says, and false before start and after stop."""
    assert not ThreadedMembership(FakeEngine, notify=Notices()).alive
    assert fake.node.alive
    fake.engine.alive = False
    assert not fake.node.alive
    fake.engine.alive = True
    fake.node.stop()
    assert not fake.node.alive


def test_an_engine_that_dies_is_noticed(fake: Fake) -> None:
    """Even a SystemExit in the thread turns `alive` false, says why, and releases who waits."""
    waiting = gevent.spawn(fake.node.join, [("never", 1)])
    gevent.sleep(0.01)
    fake.node.broadcast("kill", b"")
    assert waiting.get(timeout=20) == 0
    wait(lambda: "gossip engine died" in fake.notices.events())
    assert not fake.node.alive
    assert not fake.engine.alive
    # All of it stays harmless to call.
    fake.node.broadcast("topic", b"")
    fake.node.set_tags({})
    assert fake.node.join([("somebody", 1)]) == 0
    assert not fake.node.leave(1.0)
    assert fake.node.local().name == "local"


def test_errors_of_calls_come_back(fake: Fake) -> None:
    """What an engine raises in a call is raised from it, and the engine goes on."""
    with pytest.raises(Unreachable, match="no network"):
        fake.node.join([("unreachable", 1)])
    assert fake.node.join([("a", 1), ("b", 1)]) == 2


def test_errors_of_orders_are_noticed(fake: Fake) -> None:
    """What can't be raised any more, since the caller has gone on, is said for the log."""
    fake.node.broadcast("refuse", b"")
    wait(lambda: "gossip order failed" in fake.notices.events())
    assert fake.node.alive


def test_errors_of_making_come_back() -> None:
    """An engine that can't be made, or whose address is taken, makes `start` raise; nothing is left behind."""

    def make(notify: Callable[[Notice], None]) -> Engine:
        raise UsageError("the node's name is empty")

    node = ThreadedMembership(make, notify=Notices())
    with pytest.raises(UsageError, match="name is empty"):
        node.start(Recorder())
    node.stop()


def test_start_twice(fake: Fake) -> None:
    """Starting again is the caller's mistake."""
    with pytest.raises(UsageError, match="already"):
        fake.node.start(Recorder())


def test_before_start() -> None:
    """Before the start there are no members, stopping is harmless, and asking for the local one is a mistake."""
    node = ThreadedMembership(FakeEngine, notify=Notices())
    assert list(node.members()) == []
    with pytest.raises(UsageError, match="not been started"):
        node.local()
    node.stop()


def test_payloads_beyond_the_queue_are_lost_and_told(fake: Fake) -> None:
    """A flood leaves the first payloads and one `lost`; the join behind it arrives all the same."""
    flood = engine_thread.PAYLOADS_WAITING + 500
    fake.node.broadcast("flood", b"%d" % flood)
    while len(fake.engine.broadcasts) == 0:
        block(0.001)  # the app's hub hears nothing meanwhile
    wait(lambda: fake.recorder.count("joined", "after the flood") == 1)
    wait(lambda: fake.recorder.count("lost", "") > 0)
    assert fake.recorder.payloads == [("flood", b"%d" % number) for number in range(engine_thread.PAYLOADS_WAITING)]
    assert fake.recorder.count("lost", "") == 1


def test_members_beyond_the_queue_are_told_by_a_snapshot(fake: Fake) -> None:
    """More joins than the queue holds: none is lost, none told twice."""
    count = engine_thread.MEMBERS_WAITING + 500
    crowd = [Member(f"member-{number}", "10.0.0.2", PORT, MemberState.ALIVE) for number in range(count)]
    fake.engine.table += crowd

    def everybody_joins(topic: str, payload: bytes) -> None:
        for member in crowd:
            fake.engine.listener.joined(member)
        fake.engine.broadcasts.append(payload)

    fake.engine.broadcast = everybody_joins  # type: ignore[method-assign]
    fake.node.broadcast("topic", b"")
    while len(fake.engine.broadcasts) == 0:
        block(0.001)
    wait(lambda: len(fake.recorder.members) == count)
    assert len(fake.recorder.told) == count
    assert len(fake.node.members()) == count + 1


def test_reaped_members_disappear(fake: Fake) -> None:
    """A member that the engine forgets is soon forgotten here, after any call at the latest."""
    left = Member("left", "10.0.0.2", PORT, MemberState.LEFT)
    fake.engine.table.append(left)
    fake.node.join([("a", 1)])
    assert left in fake.node.members()
    fake.engine.table.remove(left)
    fake.node.join([("a", 1)])
    assert left not in fake.node.members()


def test_an_engine_that_hangs_gets_no_endless_queue(fake: Fake) -> None:
    """Broadcasts that a hanging engine doesn't take are dropped beyond a bound, with one line for the log."""
    fake.engine.hold = True
    for number in range(3000):
        fake.node.broadcast("topic", b"%d" % number)
    fake.engine.hold = False
    wait(lambda: len(fake.engine.broadcasts) >= 1024)
    gevent.sleep(0.01)
    assert len(fake.engine.broadcasts) < 1100
    assert fake.notices.events() == ["gossip engine is slow, broadcasts dropped"]


def test_notices_cross_over(fake: Fake) -> None:
    """What the engine says for the log is said in the app's thread."""
    fake.engine.notify(Notice("info", "hello"))
    wait(lambda: fake.notices.events() == ["hello"])


def test_a_listener_that_raises_is_noticed(fake: Fake) -> None:
    """A listener's error costs that call only, and is said for the log."""

    def broken(topic: str, payload: bytes) -> None:
        raise RuntimeError("broken listener")

    fake.recorder.received = broken  # type: ignore[method-assign]
    fake.engine.listener.received("topic", b"")
    fake.engine.listener.joined(Member("next", "10.0.0.2", PORT, MemberState.ALIVE))
    wait(lambda: fake.recorder.count("joined", "next") == 1)
    assert fake.notices.events() == ["membership listener failed"]


def test_calls_do_not_wait_for_each_other(fake: Fake) -> None:
    """A join that takes for ever keeps neither another join nor a broadcast waiting."""
    waiting = gevent.spawn(fake.node.join, [("never", 1)])
    gevent.sleep(0)
    assert fake.node.join([("a", 1)]) == 1
    fake.node.broadcast("topic", b"payload")
    wait(lambda: fake.engine.broadcasts == [b"payload"])
    fake.node.stop()
    assert waiting.get(timeout=20) == 0
