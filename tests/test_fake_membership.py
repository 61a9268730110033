"""The fake cluster keeps the contract of a real one, and does what a test asks of it."""

from collections.abc import Callable, Mapping

import pytest

from gossip.membership import Membership, MemberState
from tests.contracts.membership import Harness, MembershipSuite, Recorder, states
from tests.fake_membership import FakeCluster


class FakeHarness:
    """No time passes: what does not hold at once never will."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()

    def node(self, name: str, tags: Mapping[str, str] | None = None, *, host: str = "") -> Membership:
        return self.cluster.node(name, tags, host=host)

    def wait(self, condition: Callable[[], bool]) -> None:
        assert condition()

    def settle(self) -> None:
        """Everything has arrived already."""


class TestFakeMembership(MembershipSuite):
    """The contract, on the fake."""

    @pytest.fixture
    def harness(self) -> Harness:
        return FakeHarness()


def test_suspicion_and_loss_on_demand() -> None:
    """A test can make a node suspect another, and miss broadcasts."""
    cluster, recorder = FakeCluster(), Recorder()
    cluster.started("one", {}, Recorder())
    two = cluster.started("two", {}, recorder)
    two.suspect("one")
    two.lose()
    assert states(two)["one"] is MemberState.SUSPECT
    assert recorder.told == [("joined", "one"), ("updated", "one"), ("lost", "")]


def test_calls_are_never_nested() -> None:
    """A listener that broadcasts hears of the consequences after its own call has returned."""
    cluster, depth, depths = FakeCluster(), [0], []

    class Echo(Recorder):
        def received(self, topic: str, payload: bytes) -> None:
            super().received(topic, payload)
            depth[0] += 1
            depths.append(depth[0])
            if topic == "question":
                one.broadcast("answer", payload)
                two.broadcast("answer", payload)
            depth[0] -= 1

    one = cluster.started("one", {}, Echo())
    two = cluster.started("two", {}, Echo())
    one.broadcast("question", b"?")
    assert depths == [1, 1, 1]
    assert [broadcast[1] for broadcast in cluster.broadcasts] == ["question", "answer", "answer"]
