"""Serf's messages, which travel as memberlist's user messages, push/pull state and node meta.

A Serf message is its own type byte and a msgpack map. Conflict messages are not spoken yet and refused as
unknown. Source: HashiCorp Serf `messages.go`, `delegate.go`, `serf.go` (`encodeTags`), protocol versions 2 to 5.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from gossip.errors import UsageError, WireError
from gossip.wire.fields import (
    MAX_META_BYTES,
    Fields,
    address,
    array,
    as_fields,
    as_raw,
    as_text,
    boolean,
    pack,
    raw,
    shown,
    text,
    uint,
    unpack,
    unpack_fields,
    unpack_table,
)
from gossip.wire.messages import (
    JoinIntent,
    KeyRequest,
    KeyResponse,
    LeaveIntent,
    Query,
    QueryResponse,
    Relay,
    SerfMessage,
    SerfState,
    UserEvent,
)

#: memberlist's `MetaMaxSize`: what a node may announce of itself.
MAX_TAGS_BYTES = 512

_TAGS_MAGIC = b"\xff"
#: An event or query as a whole: agents can be set to let it take this much, and any part of it may be all of it.
_MAX_EVENT_BYTES = 9216
#: A key, also in base64, with room for what is none.
_MAX_KEY_BYTES = 64
#: Lamport times. Go counts in 64 bits.
_LTIME_BITS = 64


class SerfType(IntEnum):
    """The first byte of a Serf message."""

    LEAVE = 0
    JOIN = 1
    PUSH_PULL = 2
    USER_EVENT = 3
    QUERY = 4
    QUERY_RESPONSE = 5
    KEY_REQUEST = 7
    KEY_RESPONSE = 8
    RELAY = 9


def encode_serf(message: SerfMessage) -> bytes:
    """One Serf message, type byte first."""
    match message:
        case LeaveIntent(ltime, node, prune):
            return _typed(SerfType.LEAVE, {"LTime": ltime, "Node": node, "Prune": prune})
        case JoinIntent(ltime, node):
            return _typed(SerfType.JOIN, {"LTime": ltime, "Node": node})
        case UserEvent(ltime, name, payload, coalesce):
            return _typed(
                SerfType.USER_EVENT,
                {"CC": coalesce, "LTime": ltime, "Name": name, "Payload": payload or None},
            )
        case SerfState():
            return _typed(SerfType.PUSH_PULL, _state_fields(message))
        case Query():
            return _typed(SerfType.QUERY, _query_fields(message))
        case QueryResponse(ltime, number, sender, flags, payload):
            return _typed(
                SerfType.QUERY_RESPONSE,
                {"Flags": flags, "From": sender, "ID": number, "LTime": ltime, "Payload": payload or None},
            )
        case KeyRequest(key):
            return _typed(SerfType.KEY_REQUEST, {"Key": key})
        case KeyResponse():
            return _typed(SerfType.KEY_RESPONSE, _key_response_fields(message))
        case Relay(addr, port, node, payload):
            destination = {"IP": addr, "Port": port, "Zone": ""}
            return _typed(SerfType.RELAY, {"DestAddr": destination, "DestName": node}) + payload


def decode_serf(data: bytes) -> SerfMessage:
    """The Serf message in a user message's payload or a push/pull's state. Raises `WireError`, nothing else."""
    if not data:
        raise WireError("an empty Serf message has no type byte")
    body = memoryview(data)[1:]
    if data[0] == SerfType.RELAY:
        return _read_relay(body)
    if data[0] == SerfType.PUSH_PULL:
        return _read_state(unpack_table(body))
    reader = _READERS.get(data[0])
    if reader is None:
        raise WireError(f"Serf message type {data[0]} is unknown")
    return reader(unpack_fields(body))


def encode_tags(tags: Mapping[str, str]) -> bytes:
    """Tags as node meta. Raises `UsageError` if they take more than 512 bytes."""
    meta = _TAGS_MAGIC + pack(dict(tags))
    if len(meta) > MAX_TAGS_BYTES:
        raise UsageError(f"the tags take {len(meta)} bytes, more than {MAX_TAGS_BYTES}; shorten or drop some")
    return meta


def decode_tags(meta: bytes) -> dict[str, str]:
    """Tags of a node meta. Raises `WireError`, nothing else.

    Meta without Serf's mark is the node's role, as in the first Serf versions; no meta is no tags. Tags are
    for people and never sent on, so bytes that are no UTF-8 become replacement characters.
    """
    if not meta:
        return {}
    if not meta.startswith(_TAGS_MAGIC):
        return {"role": meta.decode("utf-8", "replace")}
    return {_tag_text(key): _tag_text(value) for key, value in unpack_fields(memoryview(meta)[1:]).items()}


def _tag_text(value: object) -> str:
    return as_raw(value, b"a tag", MAX_META_BYTES).decode("utf-8", "replace")


def _typed(kind: SerfType, fields: dict[str, Any]) -> bytes:
    return bytes((kind,)) + pack(fields)


def _state_fields(state: SerfState) -> dict[str, Any]:
    rows = [
        {"LTime": ltime, "Events": [{"Name": name, "Payload": payload or None} for name, payload in events]}
        for ltime, events in state.events
    ]
    return {
        "EventLTime": state.event_ltime,
        "Events": rows,
        "LTime": state.ltime,
        "LeftMembers": list(state.left_members),
        "QueryLTime": state.query_ltime,
        "StatusLTimes": state.status_ltimes,
    }


def _query_fields(query: Query) -> dict[str, Any]:
    return {
        "Addr": query.addr,
        "Filters": list(query.filters) or None,
        "Flags": query.flags,
        "ID": query.id,
        "LTime": query.ltime,
        "Name": query.name,
        "Payload": query.payload or None,
        "Port": query.port,
        "RelayFactor": query.relay_factor,
        "SourceNode": query.source_node,
        "Timeout": query.timeout_ns,
    }


def _key_response_fields(response: KeyResponse) -> dict[str, Any]:
    return {
        "Keys": list(response.keys) or None,
        "Message": response.message,
        "PrimaryKey": response.primary_key,
        "Result": response.result,
    }


def _read_leave(fields: Fields) -> LeaveIntent:
    return LeaveIntent(_ltime(fields, b"LTime"), text(fields, b"Node"), boolean(fields, b"Prune"))


def _read_join(fields: Fields) -> JoinIntent:
    return JoinIntent(_ltime(fields, b"LTime"), text(fields, b"Node"))


def _read_event(fields: Fields) -> UserEvent:
    return UserEvent(
        ltime=_ltime(fields, b"LTime"),
        name=text(fields, b"Name", _MAX_EVENT_BYTES),
        payload=raw(fields, b"Payload"),
        coalesce=boolean(fields, b"CC"),
    )


def _read_state(fields: Fields) -> SerfState:
    statuses = as_fields(fields.get(b"StatusLTimes") or {})
    return SerfState(
        ltime=_ltime(fields, b"LTime"),
        status_ltimes={as_text(name, b"a member name"): _ltime(statuses, name) for name in statuses},
        left_members=tuple(as_text(name, b"a member name") for name in array(fields, b"LeftMembers")),
        event_ltime=_ltime(fields, b"EventLTime"),
        events=tuple(_read_row(as_fields(row)) for row in array(fields, b"Events") if row is not None),
        query_ltime=_ltime(fields, b"QueryLTime"),
    )


def _read_row(row: Fields) -> tuple[int, tuple[tuple[str, bytes], ...]]:
    events = (as_fields(event) for event in array(row, b"Events"))
    return _ltime(row, b"LTime"), tuple(
        (text(event, b"Name", _MAX_EVENT_BYTES), raw(event, b"Payload")) for event in events
    )


def _read_query(fields: Fields) -> Query:
    return Query(
        ltime=_ltime(fields, b"LTime"),
        id=uint(fields, b"ID", 32),
        addr=address(fields, b"Addr"),
        port=uint(fields, b"Port", 16),
        source_node=text(fields, b"SourceNode"),
        filters=tuple(as_raw(entry, b"a filter", _MAX_EVENT_BYTES) for entry in array(fields, b"Filters")),
        flags=uint(fields, b"Flags", 32),
        relay_factor=uint(fields, b"RelayFactor", 8),
        timeout_ns=uint(fields, b"Timeout", 63),
        name=text(fields, b"Name", _MAX_EVENT_BYTES),
        payload=raw(fields, b"Payload"),
    )


def _read_response(fields: Fields) -> QueryResponse:
    return QueryResponse(
        ltime=_ltime(fields, b"LTime"),
        id=uint(fields, b"ID", 32),
        sender=text(fields, b"From"),
        flags=uint(fields, b"Flags", 32),
        payload=raw(fields, b"Payload"),
    )


def _read_key_request(fields: Fields) -> KeyRequest:
    return KeyRequest(raw(fields, b"Key", _MAX_KEY_BYTES))


def _read_key_response(fields: Fields) -> KeyResponse:
    return KeyResponse(
        result=boolean(fields, b"Result"),
        message=text(fields, b"Message"),
        keys=tuple(as_text(key, b"a key", _MAX_KEY_BYTES) for key in array(fields, b"Keys")),
        primary_key=text(fields, b"PrimaryKey", _MAX_KEY_BYTES),
    )


def _read_relay(body: memoryview) -> Relay:
    header, payload = unpack(body)
    fields = as_fields(header)
    destination = as_fields(fields.get(b"DestAddr"))
    return Relay(
        addr=address(destination, b"IP"),
        port=uint(destination, b"Port", 16),
        node=text(fields, b"DestName"),
        payload=payload,
    )


def _ltime(fields: Fields, key: bytes) -> int:
    """A Lamport time. `key` may be a foreign name, so it is shown, not decoded, in the error."""
    value = fields.get(key)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < 1 << _LTIME_BITS:
        raise WireError(f"the Lamport time of {shown(key)} is {shown(value)}")
    return value


#: Every Serf message that is one small map.
_READERS: dict[int, Callable[[Fields], SerfMessage]] = {
    SerfType.LEAVE: _read_leave,
    SerfType.JOIN: _read_join,
    SerfType.USER_EVENT: _read_event,
    SerfType.QUERY: _read_query,
    SerfType.QUERY_RESPONSE: _read_response,
    SerfType.KEY_REQUEST: _read_key_request,
    SerfType.KEY_RESPONSE: _read_key_response,
}
