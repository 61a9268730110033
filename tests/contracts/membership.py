"""What every membership engine promises, as a suite that each of them passes.

A test file for an engine subclasses `MembershipSuite` and gives a `harness` fixture. Nothing here knows how time
passes: `harness.wait` lets it pass until something holds, or fails.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import pytest

from gossip.errors import Unreachable, UsageError
from gossip.membership import MAX_PAYLOAD_BYTES, Member, Membership, MemberState

TOPIC = "test"
#: An address of no node, in every harness.
NOBODY = ("127.0.0.1", 1)


class Harness(Protocol):
    """Makes nodes of one engine, on one network."""

    def node(self, name: str, tags: Mapping[str, str] | None = None, *, host: str = "") -> Membership:
        """A node that has not been started, at an address of its own or at that `host`."""

    def wait(self, condition: Callable[[], bool]) -> None:
        """Let time pass until `condition` holds; AssertionError if that takes longer than any of the suite needs."""

    def settle(self) -> None:
        """Let enough time pass for anything under way to have arrived."""


class Recorder:
    """A listener that remembers what it was told, as `(what, name)` and as payloads."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.members: dict[str, Member] = {}
        self.payloads: list[tuple[str, bytes]] = []

    def joined(self, member: Member) -> None:
        self._note("joined", member)

    def updated(self, member: Member) -> None:
        self._note("updated", member)

    def left(self, member: Member) -> None:
        self._note("left", member)

    def failed(self, member: Member) -> None:
        self._note("failed", member)

    def received(self, topic: str, payload: bytes) -> None:
        self.payloads.append((topic, payload))

    def lost(self) -> None:
        self.told.append(("lost", ""))

    def count(self, what: str, name: str) -> int:
        """How often this was told of that member."""
        return self.told.count((what, name))

    def _note(self, what: str, member: Member) -> None:
        self.told.append((what, member.name))
        self.members[member.name] = member


def states(node: Membership) -> dict[str, MemberState]:
    """What a node believes of everybody."""
    return {member.name: member.state for member in node.members()}


def address(node: Membership) -> tuple[str, int]:
    """Where to join a node."""
    local = node.local()
    return local.host, local.port


class MembershipSuite:
    """The promises of `gossip.membership`, one test each."""

    def test_alone(self, harness: Harness) -> None:
        """A node that was only started has one member, itself: alive, with its name and tags."""
        node, recorder = harness.node("alone", {"zone": "a"}), Recorder()
        node.start(recorder)
        assert list(node.members()) == [node.local()]
        assert (node.local().name, node.local().state) == ("alone", MemberState.ALIVE)
        assert dict(node.local().tags) == {"zone": "a"}
        harness.settle()
        assert recorder.told == []
        node.stop()

    def test_address_taken(self, harness: Harness) -> None:
        """An address that another node uses is an error that names it, and the node can be stopped all the same."""
        first = harness.node("first")
        first.start(Recorder())
        second = harness.node("second", host=first.local().host)
        with pytest.raises(Unreachable, match=first.local().host):
            second.start(Recorder())
        second.stop()
        first.stop()

    def test_join(self, harness: Harness) -> None:
        """Two nodes see each other alive with tags, each is told of the other once, and nobody of itself."""
        one, two, at_one, at_two = self._pair(harness)
        assert states(one) == states(two) == {"one": MemberState.ALIVE, "two": MemberState.ALIVE}
        assert dict(at_one.members["two"].tags) == {"role": "second"}
        assert at_one.told == [("joined", "two")]
        assert at_two.told == [("joined", "one")]
        assert (at_one.members["two"].host, at_one.members["two"].port) == address(two)
        self._stop(one, two)

    def test_join_through_one(self, harness: Harness) -> None:
        """Who joins by one address gets to know everybody, and everybody gets to know it."""
        one, two, _, _ = self._pair(harness)
        three = harness.node("three")
        three.start(Recorder())
        assert three.join([address(two)]) == 1
        harness.wait(lambda: all(len(node.members()) == 3 for node in (one, two, three)))
        self._stop(one, two, three)

    def test_join_nobody(self, harness: Harness) -> None:
        """An address where nobody answers is counted as such and raises nothing."""
        node = harness.node("lonely")
        node.start(Recorder())
        assert node.join([NOBODY]) == 0
        assert len(node.members()) == 1
        node.stop()

    def test_join_counts(self, harness: Harness) -> None:
        """One dead address does not keep a join from succeeding at the others, and the own one does not count."""
        one, two = harness.node("one"), harness.node("two")
        one.start(Recorder())
        two.start(Recorder())
        assert two.join([NOBODY, address(one), address(two)]) == 1
        self._stop(one, two)

    def test_broadcast(self, harness: Harness) -> None:
        """A payload reaches every other member unchanged, and never the sender."""
        one, two, at_one, at_two = self._pair(harness)
        payload = bytes(range(256))
        one.broadcast(TOPIC, payload)
        harness.wait(lambda: bool(at_two.payloads))
        harness.settle()
        assert set(at_two.payloads) == {(TOPIC, payload)}
        assert at_one.payloads == []
        self._stop(one, two)

    def test_broadcasts_apart(self, harness: Harness) -> None:
        """Several payloads arrive as several, also empty ones, and equal ones of two senders."""
        one, two, at_one, at_two = self._pair(harness)
        for number in range(20):
            one.broadcast(TOPIC, b"%d" % number)
        one.broadcast(TOPIC, b"")
        two.broadcast("other", b"1")
        harness.wait(lambda: len(set(at_two.payloads)) == 21 and bool(at_one.payloads))
        assert at_one.payloads == [("other", b"1")]
        self._stop(one, two)

    def test_largest_broadcast(self, harness: Harness) -> None:
        """Topic and payload of exactly the limit arrive; one byte more is refused and not sent."""
        one, two, _, at_two = self._pair(harness)
        largest = b"x" * (MAX_PAYLOAD_BYTES - len(TOPIC))
        with pytest.raises(UsageError, match=str(MAX_PAYLOAD_BYTES)):
            one.broadcast(TOPIC, largest + b"x")
        one.broadcast(TOPIC, largest)
        harness.wait(lambda: bool(at_two.payloads))
        assert set(at_two.payloads) == {(TOPIC, largest)}
        self._stop(one, two)

    def test_broadcast_alone(self, harness: Harness) -> None:
        """Nobody to tell is no error."""
        node = harness.node("alone")
        node.start(Recorder())
        node.broadcast(TOPIC, b"hello?")
        node.stop()

    def test_tags_change(self, harness: Harness) -> None:
        """New tags replace the old ones, here at once and at the others soon, told as an update."""
        one, two, _, at_two = self._pair(harness)
        one.set_tags({"zone": "b"})
        assert dict(one.local().tags) == {"zone": "b"}
        harness.wait(lambda: at_two.count("updated", "one") > 0)
        assert dict(at_two.members["one"].tags) == {"zone": "b"}
        self._stop(one, two)

    def test_tags_too_large(self, harness: Harness) -> None:
        """Tags over 512 bytes are refused, and the old ones stay."""
        node = harness.node("node", {"zone": "a"})
        node.start(Recorder())
        with pytest.raises(UsageError, match="512"):
            node.set_tags({"zone": "x" * 600})
        assert dict(node.local().tags) == {"zone": "a"}
        node.stop()

    def test_leave(self, harness: Harness) -> None:
        """Who leaves is left, not failed, at the others."""
        one, two, at_one, _ = self._pair(harness)
        assert two.leave(5.0)
        two.stop()
        harness.wait(lambda: states(one)["two"] is MemberState.LEFT)
        harness.settle()
        assert at_one.count("left", "two") == 1
        assert at_one.count("failed", "two") == 0
        one.stop()

    def test_leave_alone(self, harness: Harness) -> None:
        """With nobody to tell a leave is through."""
        node = harness.node("alone")
        node.start(Recorder())
        assert node.leave(5.0)
        node.stop()

    def test_failure(self, harness: Harness) -> None:
        """Who stops without a good-bye is found failed."""
        one, two, at_one, _ = self._pair(harness)
        two.stop()
        harness.wait(lambda: states(one)["two"] is MemberState.FAILED)
        assert at_one.count("failed", "two") == 1
        assert at_one.count("left", "two") == 0
        one.stop()

    def test_restart(self, harness: Harness) -> None:
        """A node that comes back at its address under a new name is a new member at once."""
        one, two, at_one, _ = self._pair(harness)
        host = two.local().host
        two.stop()
        again = harness.node("two-again", host=host)
        again.start(Recorder())
        assert again.join([address(one)]) == 1
        harness.wait(lambda: at_one.count("joined", "two-again") == 1)
        assert states(one)["two-again"] is MemberState.ALIVE
        self._stop(one, again)

    def test_stop_twice(self, harness: Harness) -> None:
        """Stopping is idempotent, and nothing is told afterwards."""
        one, two, _, at_two = self._pair(harness)
        two.stop()
        two.stop()
        told = list(at_two.told)
        one.broadcast(TOPIC, b"late")
        harness.settle()
        assert (at_two.told, at_two.payloads) == (told, [])
        one.stop()

    def _pair(self, harness: Harness) -> tuple[Membership, Membership, Recorder, Recorder]:
        """Two nodes that know each other."""
        one, two = harness.node("one"), harness.node("two", {"role": "second"})
        at_one, at_two = Recorder(), Recorder()
        one.start(at_one)
        two.start(at_two)
        assert two.join([address(one)]) == 1
        harness.wait(lambda: at_one.count("joined", "two") == 1 and at_two.count("joined", "one") == 1)
        return one, two, at_one, at_two

    @staticmethod
    def _stop(*nodes: Membership) -> None:
        for node in nodes:
            node.stop()
