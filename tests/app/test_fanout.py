"""One listener that tells several."""

import pytest

from app.fanout import Fanout
from gossip.membership import Member, MemberState

MEMBER = Member("node-1-abc123", "10.0.0.1", 7946, MemberState.ALIVE)


class Recorder:
    """A listener that notes what it was told into a list shared with others."""

    def __init__(self, name: str, told: list[tuple[object, ...]]) -> None:
        self._name = name
        self._told = told

    def joined(self, member: Member) -> None:
        self._told.append((self._name, "joined", member))

    def updated(self, member: Member) -> None:
        self._told.append((self._name, "updated", member))

    def left(self, member: Member) -> None:
        self._told.append((self._name, "left", member))

    def failed(self, member: Member) -> None:
        self._told.append((self._name, "failed", member))

    def received(self, topic: str, payload: bytes) -> None:
        self._told.append((self._name, "received", topic, payload))

    def lost(self) -> None:
        self._told.append((self._name, "lost"))


@pytest.mark.parametrize(
    "call",
    [
        ("joined", MEMBER),
        ("updated", MEMBER),
        ("left", MEMBER),
        ("failed", MEMBER),
        ("received", "topic", b"payload"),
        ("lost",),
    ],
    ids=lambda call: call[0],
)
def test_every_call_reaches_all_in_order(call: tuple[object, ...]) -> None:
    """With its arguments, the first listener first."""
    told: list[tuple[object, ...]] = []
    name, *arguments = call
    getattr(Fanout([Recorder("a", told), Recorder("b", told)]), str(name))(*arguments)
    assert told == [("a", *call), ("b", *call)]
