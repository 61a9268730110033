"""What the agent's answers and events mean, as values of ours; pure. Raises `WireError`, nothing else.

What comes from the agent itself must be well-formed. What it passes on of other nodes (names, addresses, tags,
payloads) may be anything: such a member or event is left out, or one odd node would cost everybody the engine.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gossip.errors import WireError
from gossip.membership import Member, MemberState
from gossip.wire import fields
from gossip.wire.fields import Fields

#: A member with this tag has said goodbye while its agent goes on: the agent may be others' too.
GOODBYE_TAG = "bye"

#: What `stream` is asked for.
EVENT_TYPES = "member-join,member-leave,member-failed,member-update,member-reap,user"

_MAX_PAYLOAD_BYTES = 64 << 10
_STATES = {
    b"alive": MemberState.ALIVE,
    b"leaving": MemberState.LEAVING,
    b"left": MemberState.LEFT,
    b"failed": MemberState.FAILED,
}
#: The state that an event means, whatever the record beside it says: the agent holds events back for up to 3 s.
_EVENT_STATES = {
    b"member-join": MemberState.ALIVE,
    b"member-leave": MemberState.LEFT,
    b"member-failed": MemberState.FAILED,
    b"member-update": None,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """These members are so now."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Reaped:
    """The agent has forgotten the members of these names."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserEvent:
    topic: str
    payload: bytes


def listing(body: Fields) -> list[Member]:
    """The answer to `members`."""
    return list(_readable(fields.array(body, b"Members"), None))


def agent_name(body: Fields) -> str:
    """The agent's own node name, from the answer to `stats`."""
    name = fields.text(fields.as_fields(body.get(b"agent")), b"name")
    if not name:
        raise WireError("the agent's statistics don't tell its name")
    return name


def joined(body: Fields) -> int:
    """How many addresses answered, from the answer to `join`."""
    return fields.uint(body, b"Num", 32)


def event(body: Fields) -> Seen | Reaped | UserEvent | None:
    """One record of the stream; None for a kind that was not asked for, and for what can't be ours."""
    kind = fields.raw(body, b"Event", fields.MAX_NAME_BYTES)
    if kind == b"user":
        try:
            return UserEvent(fields.text(body, b"Name"), fields.raw(body, b"Payload", _MAX_PAYLOAD_BYTES))
        except WireError:
            return None
    if kind == b"member-reap":
        members = (fields.as_fields(each) for each in fields.array(body, b"Members"))
        return Reaped(tuple(fields.text(member, b"Name") for member in members))
    if kind not in _EVENT_STATES:
        return None
    return Seen(tuple(_readable(fields.array(body, b"Members"), _EVENT_STATES[kind])))


def _readable(rows: Iterable[Any], state: MemberState | None) -> Iterator[Member]:
    """The members that can be read; of a state of the agent's that we don't know (`none`) there is none."""
    for row in rows:
        try:
            yield _member(fields.as_fields(row), state)
        except WireError:
            continue


def _member(row: Fields, state: MemberState | None) -> Member:
    status = fields.raw(row, b"Status", fields.MAX_NAME_BYTES)
    believed = state or _STATES.get(status)
    if believed is None:
        raise WireError(f"{fields.shown(status)} is no state of a member")
    host = str(ipaddress.ip_address(fields.address(row, b"Addr")))
    tags = _tags(row)
    if GOODBYE_TAG in tags:
        believed = MemberState.LEFT
    return Member(fields.text(row, b"Name"), host, fields.uint(row, b"Port", 16), believed, tags)


def _tags(row: Fields) -> dict[str, str]:
    raw = row.get(b"Tags")
    pairs = {} if raw is None else fields.as_fields(raw)
    return {_tag_text(name): _tag_text(value) for name, value in pairs.items()}


def _tag_text(value: object) -> str:
    """Bytes that are no UTF-8 become replacement characters, as in the embedded engine."""
    return fields.as_raw(value, b"a tag", fields.MAX_META_BYTES).decode("utf-8", "replace")
