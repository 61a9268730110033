"""The agent's answers as values: every form that agents use, and what other nodes may have put there."""

from typing import Any

import pytest

from gossip.errors import WireError
from gossip.membership import Member, MemberState
from gossip.serf_agent import records
from gossip.serf_agent.records import Reaped, Seen, UserEvent


def row(**changed: Any) -> dict[bytes, Any]:
    plain = {
        b"Name": b"node",
        b"Addr": bytes(10) + b"\xff\xff\x0a\x00\x00\x01",
        b"Port": 7946,
        b"Tags": {b"zone": b"a"},
        b"Status": b"alive",
        b"ProtocolCur": 2,
    }
    return plain | {name.encode(): value for name, value in changed.items()}


NODE = Member("node", "10.0.0.1", 7946, MemberState.ALIVE, {"zone": "a"})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (b"alive", MemberState.ALIVE),
        (b"leaving", MemberState.LEAVING),
        (b"left", MemberState.LEFT),
        (b"failed", MemberState.FAILED),
    ],
)
def test_listing(status: bytes, state: MemberState) -> None:
    """Each status of the agent's has a state here."""
    assert records.listing({b"Members": [row(Status=status)]}) == [
        Member("node", "10.0.0.1", 7946, state, {"zone": "a"})
    ]


def test_addresses() -> None:
    """IPv4 in 4 or 16 bytes, IPv6 in 16."""
    hosts = (b"\x0a\x00\x00\x01", bytes(10) + b"\xff\xff\x0a\x00\x00\x01", bytes(15) + b"\x01")
    listed = records.listing({b"Members": [row(Addr=host) for host in hosts]})
    assert [member.host for member in listed] == ["10.0.0.1", "10.0.0.1", "::1"]


@pytest.mark.parametrize(
    "odd",
    [
        "no map",
        row(Status=b"none"),
        row(Status=7),
        row(Addr=b"12345"),
        row(Port=70000),
        row(Name=7),
        row(Name=b"n" * 600),
        row(Tags=[1]),
        row(Tags={b"a": 1}),
    ],
)
def test_odd_members_are_left_out(odd: Any) -> None:
    """One that can't be read does not hide the others."""
    assert records.listing({b"Members": [odd, row()]}) == [NODE]
    assert records.event({b"Event": b"member-update", b"Members": [odd, row()]}) == Seen((NODE,))


def test_nothing_where_something_may_be() -> None:
    """nil stands for empty."""
    assert records.listing({b"Members": None}) == []
    (bare,) = records.listing({b"Members": [row(Tags=None)]})
    assert dict(bare.tags) == {}


def test_a_goodbye_beats_the_status() -> None:
    """Who has said it is left, whether its agent goes on or fails later."""
    for status in (b"alive", b"failed"):
        (member,) = records.listing({b"Members": [row(Tags={b"bye": b"1"}, Status=status)]})
        assert member.state is MemberState.LEFT


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (b"member-join", MemberState.ALIVE),
        (b"member-leave", MemberState.LEFT),
        (b"member-failed", MemberState.FAILED),
        (b"member-update", MemberState.ALIVE),
    ],
)
def test_member_events(kind: bytes, state: MemberState) -> None:
    """The event says the state; an update has it in its record."""
    told = records.event({b"Event": kind, b"Members": [row()]})
    assert told == Seen((Member("node", "10.0.0.1", 7946, state, {"zone": "a"}),))


def test_reaped() -> None:
    """The names of those whom the agent forgot."""
    assert records.event({b"Event": b"member-reap", b"Members": [row()]}) == Reaped(("node",))


def test_user_events() -> None:
    """Name and payload; an empty payload may be nil, an unreadable event is none."""
    assert records.event({b"Event": b"user", b"Name": b"t", b"Payload": b"\xff"}) == UserEvent("t", b"\xff")
    assert records.event({b"Event": b"user", b"Name": b"t", b"Payload": None}) == UserEvent("t", b"")
    assert records.event({b"Event": b"user", b"Name": 7}) is None
    assert records.event({b"Event": b"user", b"Name": b"t", b"Payload": bytes(70_000)}) is None
    assert records.event({b"Event": b"query"}) is None


def test_the_agent_s_name() -> None:
    """It is in the statistics; an agent without one is none."""
    assert records.agent_name({b"agent": {b"name": b"node"}}) == "node"
    for odd in ({}, {b"agent": None}, {b"agent": {}}, {b"agent": {b"name": 1}}):
        with pytest.raises(WireError):
            records.agent_name(odd)


def test_joined() -> None:
    """How many answered."""
    assert records.joined({b"Num": 2}) == 2
    with pytest.raises(WireError):
        records.joined({b"Num": -1})
