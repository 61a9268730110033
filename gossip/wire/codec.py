"""memberlist's messages as bytes, field by field; one function each way.

A message is its type byte and a msgpack map. What wraps messages is `envelope`, what a stream adds is
`stream`, and Serf's own messages (the payload of a `UserMessage`) are `serf`.
Source: HashiCorp memberlist `net.go`, protocol versions 1 to 5.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from gossip.errors import UsageError, WireError
from gossip.wire.fields import (
    MAX_META_BYTES,
    Fields,
    address,
    boolean,
    pack,
    raw,
    shown,
    text,
    uint,
    unpack_fields,
)
from gossip.wire.messages import (
    Ack,
    Alive,
    Dead,
    ErrorReply,
    IndirectPing,
    Message,
    Nack,
    NodeEntry,
    Ping,
    Suspect,
    UserMessage,
    Versions,
    WireState,
)

#: A version vector has six entries; a few more are let through for the core to judge.
_MAX_VERSIONS = 16
_MAX_ERROR_BYTES = 4096


class MessageType(IntEnum):
    """The first byte of everything on the wire. COMPOUND, COMPRESSED, CRC, ENCRYPTED and LABEL are wrappers."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESSED = 9
    ENCRYPTED = 10
    NACK = 11
    CRC = 12
    ERROR = 13
    LABEL = 244


def encode(message: Message) -> bytes:
    """One message for a datagram, type byte first; fields in the order of their names, as stock nodes send them.

    A `PushPull` has no form for datagrams (`stream.encode_stream` has it): `UsageError`.
    """
    match message:
        case UserMessage(payload):
            return bytes((MessageType.USER,)) + payload
        case Ping():
            return _typed(MessageType.PING, {"Node": message.node, "SeqNo": message.seq_no} | _source(message))
        case IndirectPing():
            return _typed(MessageType.INDIRECT_PING, _indirect(message))
        case Ack(seq_no, payload):
            return _typed(MessageType.ACK, {"Payload": payload or None, "SeqNo": seq_no})
        case Nack(seq_no):
            return _typed(MessageType.NACK, {"SeqNo": seq_no})
        case Suspect(incarnation, node, sender):
            return _typed(MessageType.SUSPECT, {"From": sender, "Incarnation": incarnation, "Node": node})
        case Dead(incarnation, node, sender):
            return _typed(MessageType.DEAD, {"From": sender, "Incarnation": incarnation, "Node": node})
        case Alive():
            return _typed(MessageType.ALIVE, _claim(message, "Node", message.node))
        case ErrorReply(error):
            return _typed(MessageType.ERROR, {"Error": error})
        case _:
            raise UsageError(f"{type(message).__name__} does not fit into a datagram; send it on a stream")


def decode(data: bytes) -> Message:
    """The message that a datagram (peeled by `envelope.unpack`) holds. Raises `WireError`, nothing else."""
    if not data:
        raise WireError("an empty message has no type byte")
    if data[0] == MessageType.USER:
        return UserMessage(data[1:])
    reader = _READERS.get(data[0])
    if reader is None:
        raise WireError(f"message type {data[0]} does not belong into a datagram")
    return reader(unpack_fields(memoryview(data)[1:]))


def encode_entry(entry: NodeEntry) -> bytes:
    """One node of a push/pull; a stream holds them back to back."""
    return pack(_claim(entry, "Name", entry.name, int(entry.state)))


def decode_entry(fields: Fields) -> NodeEntry:
    """One node of a push/pull. Raises `WireError`."""
    state = uint(fields, b"State", 8)
    try:
        known_state = WireState(state)
    except ValueError as error:
        raise WireError(f"State is {state}, not 0 (alive) to 3 (left)") from error
    return NodeEntry(
        name=_bearer(fields, b"Name"),
        addr=address(fields, b"Addr"),
        port=uint(fields, b"Port", 16),
        meta=raw(fields, b"Meta", MAX_META_BYTES),
        incarnation=uint(fields, b"Incarnation", 32),
        state=known_state,
        versions=_versions(fields),
    )


def _typed(kind: MessageType, fields: dict[str, Any]) -> bytes:
    return bytes((kind,)) + pack(fields)


def _source(message: Ping | IndirectPing) -> dict[str, Any]:
    """Where the answer should go; left out as a whole when unset, as old nodes do."""
    if not message.source_addr:
        return {}
    return {
        "SourceAddr": message.source_addr,
        "SourceNode": message.source_node,
        "SourcePort": message.source_port,
    }


def _indirect(message: IndirectPing) -> dict[str, Any]:
    return {
        "Nack": message.nack,
        "Node": message.node,
        "Port": message.port,
        "SeqNo": message.seq_no,
        **_source(message),
        "Target": message.target,
    }


def _claim(claim: Alive | NodeEntry, name_field: str, name: str, state: int | None = None) -> dict[str, Any]:
    """What an alive and a push/pull's row share; only a row has a state."""
    return {
        "Addr": claim.addr,
        "Incarnation": claim.incarnation,
        "Meta": claim.meta or None,
        name_field: name,
        "Port": claim.port,
        **({} if state is None else {"State": state}),
        "Vsn": bytes(claim.versions),
    }


def _bearer(fields: Fields, key: bytes) -> str:
    """The name of the node that a claim is about: never empty, or the member table gets a nameless row."""
    name = text(fields, key)
    if not name:
        raise WireError(f"{key.decode()} is empty, a claim is about a node")
    return name


def _versions(fields: Fields) -> Versions:
    value = fields.get(b"Vsn")
    if value is None:
        return ()
    if not isinstance(value, (bytes, list)) or len(value) > _MAX_VERSIONS:
        raise WireError(f"Vsn is {shown(value)}, not up to {_MAX_VERSIONS} version numbers")
    # Bytes, the usual form, can't hold anything else; the check would be a third of the cost of an alive message.
    if isinstance(value, list) and not all(type(number) is int and 0 <= number < 256 for number in value):
        raise WireError("Vsn holds something else than numbers of one byte")
    return tuple(value)


def _read_ping(fields: Fields) -> Ping:
    return Ping(
        seq_no=uint(fields, b"SeqNo", 32),
        node=text(fields, b"Node"),
        source_addr=address(fields, b"SourceAddr", optional=True),
        source_port=uint(fields, b"SourcePort", 16),
        source_node=text(fields, b"SourceNode"),
    )


def _read_indirect_ping(fields: Fields) -> IndirectPing:
    return IndirectPing(
        seq_no=uint(fields, b"SeqNo", 32),
        target=address(fields, b"Target"),
        port=uint(fields, b"Port", 16),
        node=text(fields, b"Node"),
        nack=boolean(fields, b"Nack"),
        source_addr=address(fields, b"SourceAddr", optional=True),
        source_port=uint(fields, b"SourcePort", 16),
        source_node=text(fields, b"SourceNode"),
    )


def _read_ack(fields: Fields) -> Ack:
    return Ack(uint(fields, b"SeqNo", 32), raw(fields, b"Payload"))


def _read_nack(fields: Fields) -> Nack:
    return Nack(uint(fields, b"SeqNo", 32))


def _read_suspect(fields: Fields) -> Suspect:
    return Suspect(uint(fields, b"Incarnation", 32), _bearer(fields, b"Node"), text(fields, b"From"))


def _read_alive(fields: Fields) -> Alive:
    return Alive(
        incarnation=uint(fields, b"Incarnation", 32),
        node=_bearer(fields, b"Node"),
        addr=address(fields, b"Addr"),
        port=uint(fields, b"Port", 16),
        meta=raw(fields, b"Meta", MAX_META_BYTES),
        versions=_versions(fields),
    )


def _read_dead(fields: Fields) -> Dead:
    return Dead(uint(fields, b"Incarnation", 32), _bearer(fields, b"Node"), text(fields, b"From"))


def _read_error(fields: Fields) -> ErrorReply:
    return ErrorReply(text(fields, b"Error", _MAX_ERROR_BYTES))


#: Every message that is one map, on datagrams and (PING, ACK, ERROR) on streams.
_READERS: dict[int, Callable[[Fields], Message]] = {
    MessageType.PING: _read_ping,
    MessageType.INDIRECT_PING: _read_indirect_ping,
    MessageType.ACK: _read_ack,
    MessageType.NACK: _read_nack,
    MessageType.SUSPECT: _read_suspect,
    MessageType.ALIVE: _read_alive,
    MessageType.DEAD: _read_dead,
    MessageType.ERROR: _read_error,
}


def decode_fields(kind: int, fields: Fields) -> Message:
    """A message whose type byte and map were already split, as `stream` does. Raises `WireError`."""
    reader = _READERS.get(kind)
    if reader is None:
        raise WireError(f"message type {kind} is unknown")
    return reader(fields)
