"""What the core asks of its driver, and what it tells the engine's user.

The driver drains `Swim.effects()` after every input and carries them out in order. A stream is named by
a number that the core chose (`OpenStream`) or that the driver announced (`Swim.stream_accepted`).
"""

from dataclasses import dataclass

from gossip.membership import Member

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SendDatagram:
    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Connect; answer with `stream_opened` or `stream_closed`. `timeout_s` bounds the connecting only."""

    stream: int
    to: Address
    timeout_s: float


@dataclass(frozen=True, slots=True)
class WriteStream:
    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Flush what was written, then close. The core is done with the stream: no more input about it."""

    stream: int


@dataclass(frozen=True, slots=True)
class MemberJoined:
    member: Member


@dataclass(frozen=True, slots=True)
class MemberUpdated:
    member: Member


@dataclass(frozen=True, slots=True)
class MemberLeft:
    member: Member


@dataclass(frozen=True, slots=True)
class MemberFailed:
    member: Member


#: What may happen to a member.
MemberReport = MemberJoined | MemberUpdated | MemberLeft | MemberFailed


@dataclass(frozen=True, slots=True)
class Received:
    topic: str
    payload: bytes


#: What is told to the engine's user.
Report = MemberReport | Received


@dataclass(frozen=True, slots=True)
class JoinFinished:
    """The answer to one `Swim.join`: how many addresses answered, and why each of the others did not."""

    token: int
    reached: int
    errors: tuple[tuple[Address, str], ...]


@dataclass(frozen=True, slots=True)
class LeaveFinished:
    told: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the log; `level` is `debug`, `info`, `warning` or `error`."""

    level: str
    event: str
    fields: tuple[tuple[str, str | int | float], ...] = ()


Effect = SendDatagram | OpenStream | WriteStream | CloseStream | Report | JoinFinished | LeaveFinished | Notice
