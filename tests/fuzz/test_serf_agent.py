"""Invariant: whatever the agent's side says, cut anyhow, only `WireError` comes out of the conversation and its values.

Objects that are shaped like the agent's own reach further than noise, so both are tried.
"""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.errors import WireError
from gossip.serf_agent import records
from gossip.serf_agent.conversation import Conversation, Record

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=20) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.binary(max_size=5), inner),
    max_leaves=12,
)
_SEQ = st.integers(0, 4) | _ANYTHING
_HEADER = st.fixed_dictionaries({}, optional={"Seq": _SEQ, "Error": st.sampled_from(["", "no"]) | _ANYTHING})
_ROW = st.fixed_dictionaries(
    {},
    optional={
        "Name": st.text() | _ANYTHING,
        "Addr": st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16) | _ANYTHING,
        "Port": st.integers(0, 65535) | _ANYTHING,
        "Tags": st.dictionaries(st.text(), st.text()) | _ANYTHING,
        "Status": st.sampled_from(["alive", "left", "failed", "none"]) | _ANYTHING,
    },
)
_KINDS = ["user", "member-join", "member-leave", "member-failed", "member-update", "member-reap", "query"]
_BODY = st.fixed_dictionaries(
    {},
    optional={
        "Event": st.sampled_from(_KINDS) | _ANYTHING,
        "Members": st.lists(_ROW, max_size=3) | _ANYTHING,
        "Name": _ANYTHING,
        "Payload": st.binary() | _ANYTHING,
        "Num": _ANYTHING,
        "agent": st.fixed_dictionaries({"name": st.text() | _ANYTHING}) | _ANYTHING,
    },
)
_OBJECTS = st.lists(_HEADER | _BODY | _ANYTHING, max_size=6)


@given(
    st.binary(max_size=300) | _OBJECTS.map(lambda objects: b"".join(map(msgpack.packb, objects))), st.integers(1, 50)
)
def test_conversation(data: bytes, cut: int) -> None:
    """Bytes of any kind are items or a `WireError`."""
    conversation = Conversation()
    for command in ("stream", "members", "join", "tags"):
        conversation.request(command, {})
    try:
        for at in range(0, len(data), cut):
            for item in conversation.feed(data[at : at + cut]):
                if isinstance(item, Record):
                    records.event(item.body)
    except WireError:
        pass


@pytest.mark.parametrize("read", [records.listing, records.event, records.agent_name, records.joined])
@given(body=_BODY)
def test_values(read: object, body: dict[str, object]) -> None:
    """Bodies of any kind are values or a `WireError`."""
    received = msgpack.unpackb(msgpack.packb(body), raw=True, strict_map_key=False)
    try:
        read(received)  # type: ignore[operator]
    except WireError:
        pass
