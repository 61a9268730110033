"""One `MembershipListener` that tells several, in order: an engine has one listener, a node has many parts."""

from collections.abc import Sequence

from gossip.membership import Member, MembershipListener


class Fanout:
    """Passes every call on to each listener. Its own calls neither block nor switch, if theirs don't."""

    def __init__(self, listeners: Sequence[MembershipListener]) -> None:
        self._listeners = tuple(listeners)

    def joined(self, member: Member) -> None:
        for listener in self._listeners:
            listener.joined(member)

    def updated(self, member: Member) -> None:
        for listener in self._listeners:
            listener.updated(member)

    def left(self, member: Member) -> None:
        for listener in self._listeners:
            listener.left(member)

    def failed(self, member: Member) -> None:
        for listener in self._listeners:
            listener.failed(member)

    def received(self, topic: str, payload: bytes) -> None:
        for listener in self._listeners:
            listener.received(topic, payload)

    def lost(self) -> None:
        for listener in self._listeners:
            listener.lost()
