"""The engine in a thread of its own: it keeps the contract, survives a blocked app, and never dies in silence."""

from collections.abc import Callable, Iterator, Mapping
from random import Random

import gevent
import pytest
from gevent.monkey import get_original

from gossip.engine_thread import Engine
from gossip.errors import Unreachable, UsageError
from gossip.membership import Member, MembershipListener, MemberState
from gossip.swim.effects import Notice
from gossip.swim.protocol import LocalNode
from gossip.thread import ThreadedMembership
from gossip.udp import UdpDriver
from tests.contracts.membership import MembershipSuite, Recorder
from tests.gossip.fake_engine import Fake, FakeEngine, block
from tests.gossip.loopback import FAST, PORT, SETTLE_S, Harness, Notices, fresh_host, wait


def threaded_driver(
    name: str, host: str, tags: Mapping[str, str], notify: Callable[[Notice], None]
) -> ThreadedMembership:
    def make(notify: Callable[[Notice], None]) -> Engine:
        return UdpDriver(FAST, LocalNode(name, host, PORT, tags), rng=Random(name), notify=notify)

    return ThreadedMembership(make, notify=notify)


class TestThreadedMembership(MembershipSuite):
    """The contract, over the real driver."""

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        harness = Harness(lambda name, host, tags: threaded_driver(name, host, tags, Notices()))
        yield harness
        harness.stop()


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


def test_in_engine_thread(fake: Fake) -> None:
    """What belongs to the engine is changed in its thread; an error is noticed, after the end nothing is done."""
    threads: list[int] = []
    ours = get_original("_thread", "get_ident")

    def refuse() -> None:
        raise UsageError("refused")

    fake.node.in_engine_thread(lambda: threads.append(ours()))
    fake.node.in_engine_thread(refuse)
    wait(lambda: fake.notices.events() == ["gossip order failed"])
    assert len(threads) == 1
    assert threads != [ours()]
    fake.node.stop()
    fake.node.in_engine_thread(lambda: threads.append(0))
    assert len(threads) == 1


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


def test_an_engine_that_hangs_gets_no_endless_queue(fake: Fake) -> None:
    """Broadcasts that a hanging engine doesn't take are dropped beyond a bound; the log says so, but not for each."""
    fake.engine.hold = True
    for number in range(3000):
        fake.node.broadcast("topic", b"%d" % number)
    fake.engine.hold = False
    wait(lambda: len(fake.engine.broadcasts) >= 1024)
    gevent.sleep(0.01)
    # its thread may have taken some before it came to hang, and the queue then filled anew
    assert len(fake.engine.broadcasts) < 2500
    assert set(fake.notices.events()) == {"gossip engine is slow, broadcasts dropped"}
    assert len(fake.notices.events()) < 10


def test_a_listener_that_raises_is_noticed(fake: Fake) -> None:
    """A listener's error costs that call only, and is said for the log."""

    def broken(topic: str, payload: bytes) -> None:
        raise RuntimeError("broken listener")

    fake.recorder.received = broken  # type: ignore[method-assign]
    fake.engine.listener.received("topic", b"")
    fake.engine.listener.joined(Member("next", "10.0.0.2", PORT, MemberState.ALIVE))
    wait(lambda: fake.recorder.count("joined", "next") == 1)
    assert fake.notices.events() == ["membership listener failed"]


def test_a_listener_that_raises_on_a_loss_is_noticed(fake: Fake) -> None:
    """Nor does an error in `lost`, which comes between the reports, end the hearing of them."""

    def broken() -> None:
        raise RuntimeError("broken listener")

    fake.recorder.lost = broken  # type: ignore[method-assign]
    fake.engine.listener.lost()
    wait(lambda: fake.notices.events() == ["membership listener failed"])
    fake.engine.listener.joined(Member("next", "10.0.0.2", PORT, MemberState.ALIVE))
    wait(lambda: fake.recorder.count("joined", "next") == 1)


class SlowEngine(FakeEngine):
    """Its start takes until `hold` is taken away."""

    def start(self, listener: MembershipListener) -> None:
        while self.hold:
            gevent.sleep(0.001)
        super().start(listener)


def test_stop_while_starting() -> None:
    """Who stops before the start is through does not wait for longer than that takes; twice at once is once."""
    engines: list[SlowEngine] = []

    def make(notify: Callable[[Notice], None]) -> Engine:
        engine = SlowEngine(notify)
        engine.hold = True
        engines.append(engine)
        return engine

    notices = Notices()
    node = ThreadedMembership(make, notify=notices)
    starting = gevent.spawn(node.start, Recorder())
    wait(lambda: bool(engines))
    stopping = [gevent.spawn(node.stop) for _ in range(2)]
    gevent.sleep(0)
    engines[0].hold = False
    starting.get(timeout=20)
    for greenlet in stopping:
        greenlet.get(timeout=20)
    assert notices.events() == []
    assert not engines[0].alive
    assert not node.alive
