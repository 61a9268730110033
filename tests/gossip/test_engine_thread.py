"""The engine's half of the bridge: floods, errors, and calls that take for ever."""

from collections.abc import Iterator

import gevent
import pytest

from gossip import engine_thread
from gossip.membership import Member, MemberState
from gossip.swim.effects import Notice
from tests.gossip.fake_engine import Fake, block
from tests.gossip.loopback import PORT, wait


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.engine.hold = False
    fake.node.stop()


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


def test_errors_of_orders_are_noticed(fake: Fake) -> None:
    """What can't be raised any more, since the caller has gone on, is said for the log."""
    fake.node.broadcast("refuse", b"")
    wait(lambda: "gossip order failed" in fake.notices.events())
    assert fake.node.alive


def test_notices_cross_over(fake: Fake) -> None:
    """What the engine says for the log is said in the app's thread."""
    fake.engine.notify(Notice("info", "hello"))
    wait(lambda: fake.notices.events() == ["hello"])


def test_calls_do_not_wait_for_each_other(fake: Fake) -> None:
    """A join that takes for ever keeps neither another join nor a broadcast waiting."""
    waiting = gevent.spawn(fake.node.join, [("never", 1)])
    gevent.sleep(0)
    assert fake.node.join([("a", 1)]) == 1
    fake.node.broadcast("topic", b"payload")
    wait(lambda: fake.engine.broadcasts == [b"payload"])
    fake.node.stop()
    assert waiting.get(timeout=20) == 0
