"""What nodes say to each other: memberlist's messages and Serf's layer on top, as values.

Field meanings follow the wire (HashiCorp memberlist `net.go`, `state.go`; Serf `messages.go`), in Python's
spelling. Names, tags and payloads are bytes on the wire; a node name is text here, decoded with
`surrogateescape` so that any bytes survive a round trip. Addresses are packed (4 or 16 bytes), an
IPv4 address always in its 4-byte form.
"""

from dataclasses import dataclass, field
from enum import IntEnum

#: memberlist protocol min, max, current, then Serf's min, max, current: what a stock Serf agent announces.
SERF_VERSIONS = (1, 5, 2, 2, 5, 5)

Versions = tuple[int, ...]


class WireState(IntEnum):
    """State of a node in a push/pull entry."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


@dataclass(frozen=True, slots=True)
class Ping:
    """Direct probe; `node` is the target's name, answered only by its bearer (any node if empty)."""

    seq_no: int
    node: str
    source_addr: bytes = b""
    source_port: int = 0
    source_node: str = ""


@dataclass(frozen=True, slots=True)
class IndirectPing:
    """Ask the receiver to ping `node` at `target`:`port` for us."""

    seq_no: int
    target: bytes
    port: int
    node: str
    nack: bool = False
    source_addr: bytes = b""
    source_port: int = 0
    source_node: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    seq_no: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Nack:
    seq_no: int


@dataclass(frozen=True, slots=True)
class Suspect:
    incarnation: int
    node: str
    sender: str


@dataclass(frozen=True, slots=True)
class Alive:
    incarnation: int
    node: str
    addr: bytes
    port: int
    meta: bytes = b""
    versions: Versions = SERF_VERSIONS


@dataclass(frozen=True, slots=True)
class Dead:
    """`sender == node` means that the node left of its own will."""

    incarnation: int
    node: str
    sender: str


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One row of a push/pull."""

    name: str
    addr: bytes
    port: int
    meta: bytes
    incarnation: int
    state: WireState
    versions: Versions = SERF_VERSIONS


@dataclass(frozen=True, slots=True)
class PushPull:
    """The whole member table; stream only. `user_state` is Serf's push/pull state, encoded."""

    join: bool
    nodes: tuple[NodeEntry, ...]
    user_state: bytes = b""


@dataclass(frozen=True, slots=True)
class UserMessage:
    """An application message (a Serf message, encoded), on a datagram or a stream."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """A refused stream's answer."""

    error: str


Message = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | PushPull | UserMessage | ErrorReply


@dataclass(frozen=True, slots=True)
class LeaveIntent:
    ltime: int
    node: str
    prune: bool = False


@dataclass(frozen=True, slots=True)
class JoinIntent:
    ltime: int
    node: str


@dataclass(frozen=True, slots=True)
class UserEvent:
    ltime: int
    name: str
    payload: bytes
    coalesce: bool = False


@dataclass(frozen=True, slots=True)
class SerfState:
    """Serf's part of a push/pull. `events` holds `(ltime, ((name, payload), ...))` rows, empty slots left out."""

    ltime: int
    status_ltimes: dict[str, int] = field(default_factory=dict)
    left_members: tuple[str, ...] = ()
    event_ltime: int = 0
    events: tuple[tuple[int, tuple[tuple[str, bytes], ...]], ...] = ()
    query_ltime: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """`flags` bit 0 asks for an ack, bit 1 forbids re-broadcast; `filters` stay encoded; `timeout_ns` is a duration."""

    ltime: int
    id: int
    addr: bytes
    port: int
    source_node: str
    filters: tuple[bytes, ...]
    flags: int
    relay_factor: int
    timeout_ns: int
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class QueryResponse:
    ltime: int
    id: int
    sender: str
    flags: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Relay:
    """Forward `payload` (a Serf message, encoded) to `addr`:`port`."""

    addr: bytes
    port: int
    node: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a query about the keys is about. `repr` does not show it."""

    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyResponse:
    """How it went; `keys` and `primary_key` in base64, when they were asked for."""

    result: bool
    message: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)
    primary_key: str = field(default="", repr=False)


SerfMessage = (
    LeaveIntent | JoinIntent | UserEvent | SerfState | Query | QueryResponse | KeyRequest | KeyResponse | Relay
)
