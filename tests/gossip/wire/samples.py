"""One of each message, with every field set to something else than its zero value."""

from gossip.wire.messages import (
    Ack,
    Alive,
    Dead,
    ErrorReply,
    IndirectPing,
    JoinIntent,
    KeyRequest,
    KeyResponse,
    LeaveIntent,
    Message,
    Nack,
    NodeEntry,
    Ping,
    PushPull,
    Query,
    QueryResponse,
    Relay,
    SerfMessage,
    SerfState,
    Suspect,
    UserEvent,
    UserMessage,
    WireState,
)

ADDR = bytes((10, 0, 0, 7))
ADDR6 = bytes.fromhex("fd00000000000000000000000000000a")

DATAGRAMS: tuple[Message, ...] = (
    Ping(7, "target", ADDR, 7946, "source"),
    IndirectPing(8, ADDR6, 7946, "target", True, ADDR, 7947, "source"),
    Ack(9, b"\x01coordinate"),
    Nack(10),
    Suspect(11, "accused", "accuser"),
    Alive(12, "node", ADDR, 7946, b"\xff\x80", (1, 5, 2, 2, 5, 5)),
    Dead(13, "node", "node"),
    UserMessage(b"\x03payload"),
    ErrorReply("refused"),
)

PUSH_PULL = PushPull(
    join=True,
    nodes=tuple(
        NodeEntry(f"node-{state.name}", ADDR, 7946, b"\xff\x80", 300 + state, state, (1, 5, 2, 2, 5, 5))
        for state in WireState
    ),
    user_state=b"\x02state",
)

STREAMS: tuple[Message, ...] = (
    PUSH_PULL,
    Ping(7, "target", ADDR, 7946, "source"),
    Ack(9),
    UserMessage(b"\x03payload" * 1000),
    ErrorReply("refused"),
)

SERF: tuple[SerfMessage, ...] = (
    LeaveIntent(21, "node", True),
    JoinIntent(22, "node"),
    UserEvent(23, "deploy", b"\x00payload", True),
    SerfState(24, {"node": 20, "other": 3}, ("other",), 25, ((5, (("deploy", b"a"), ("deploy", b"b"))),), 26),
    Query(27, 1 << 31, ADDR, 7946, "node", (b"\x00filter",), 3, 2, 15 * 10**9, "uptime", b"payload"),
    QueryResponse(28, 1 << 31, "node", 1, b"answer"),
    KeyRequest(bytes(range(32))),
    KeyResponse(True, "why", ("first", "second"), "first"),
    Relay(ADDR, 7946, "node", b"\x05response"),
)
