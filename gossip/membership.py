"""The contract of a membership engine: who is in the cluster, and small payloads told to all of it.

Every engine (the embedded `swim`, and those that follow) and every fake passes
`tests/contracts/membership.py`. Payloads are opaque here: what they mean is the user's business.

Threading: an engine is used from one gevent hub, the one that called `start`. Listener methods are
called on that hub, one at a time, and must neither block nor switch greenlets; spawn for anything slow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

#: Largest `topic` + `payload` in bytes that any engine has to carry (a stock Serf agent's event limit
#: is 512 with its own encoding; the rest is kept free for a seal).
MAX_PAYLOAD_BYTES = 460


class MemberState(Enum):
    """What this node believes of a member. Only ALIVE and SUSPECT members take part."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    LEAVING = "leaving"
    LEFT = "left"
    FAILED = "failed"

    @property
    def takes_part(self) -> bool:
        """Whether a member in this state can be talked to."""
        return self is MemberState.ALIVE or self is MemberState.SUSPECT

    @property
    def absent(self) -> bool:
        """Whether a member in this state is only remembered; one that is LEAVING still answers."""
        return self is MemberState.LEFT or self is MemberState.FAILED


@dataclass(frozen=True, slots=True)
class Member:
    """A snapshot of one member.

    `name` is unique per start of a node, or an external agent's own, which comes back at each start: the tag `start`
    then differs. The operator's name of the node is the tag `node`.
    `host` is an IPv4 or IPv6 address in text, `port` the gossip port.
    """

    name: str
    host: str
    port: int
    state: MemberState
    tags: Mapping[str, str] = field(default_factory=dict)


class MembershipListener(Protocol):
    """What an engine tells its user. Calls must not block, switch or raise."""

    def joined(self, member: Member) -> None:
        """A member is there that was not, or came back after `failed` or `left`. Never the local one."""

    def updated(self, member: Member) -> None:
        """Tags changed, or the state went between ALIVE, SUSPECT and LEAVING."""

    def left(self, member: Member) -> None:
        """The member said goodbye."""

    def failed(self, member: Member) -> None:
        """The member was found dead; it may come back by `joined`."""

    def received(self, topic: str, payload: bytes) -> None:
        """A broadcast of some node, perhaps repeated or out of order; never one of our own."""

    def lost(self) -> None:
        """Some broadcasts were dropped on their way to the listener (a full queue): expect gaps."""


class Membership(Protocol):
    """A running engine. Methods may switch greenlets only where they say that they block."""

    def start(self, listener: MembershipListener) -> None:
        """Bind and take part, alone at first. Blocks for some ms. Raises `Unreachable` if the address is taken."""

    def join(self, addresses: Sequence[tuple[str, int]]) -> int:
        """Contact these `(host, port)`; return how many answered. Blocks until each has answered or failed.

        0 is no error here: the caller decides whether to try again. Unreachable addresses are logged.
        """

    def broadcast(self, topic: str, payload: bytes) -> None:
        """Tell every member, at most once each and without a promise; never blocks.

        Raises `UsageError` if `topic` + `payload` is over `MAX_PAYLOAD_BYTES`.
        """

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Replace the local tags. Raises `UsageError` if they encode to more than 512 bytes."""

    def members(self) -> Sequence[Member]:
        """All members known, the local one included, left and failed ones until they are reaped."""

    def local(self) -> Member:
        """The local member."""

    def leave(self, timeout_s: float) -> bool:
        """Say goodbye and wait until it has been told, at most `timeout_s`; True if it was. Blocks."""

    def stop(self) -> None:
        """Stop taking part and free all resources. Without `leave` before, the others see a failure. Idempotent."""
