"""Serf's messages and tags against recorded bytes and against their own other direction."""

import msgpack
import pytest

from gossip.errors import UsageError, WireError
from gossip.wire import codec, envelope, serf
from gossip.wire.messages import (
    JoinIntent,
    LeaveIntent,
    PushPull,
    Query,
    Relay,
    SerfMessage,
    SerfState,
    UserEvent,
    UserMessage,
)
from gossip.wire.stream import StreamDecoder
from tests.golden.files import golden, golden_names
from tests.gossip.wire.samples import ADDR, SERF

AGENT = bytes((127, 0, 9, 1))


def user_messages(name: str) -> list[bytes]:
    """The Serf messages in a recorded datagram."""
    messages = [codec.decode(leaf) for leaf in envelope.unpack(golden(name))]
    return [message.payload for message in messages if isinstance(message, UserMessage)]


def packed(kind: int, fields: object) -> bytes:
    return b"".join((bytes((kind,)), msgpack.packb(fields)))


@pytest.mark.parametrize("message", SERF, ids=lambda message: type(message).__name__)
def test_round_trip(message: SerfMessage) -> None:
    """What is encoded is decoded to an equal message."""
    assert serf.decode_serf(serf.encode_serf(message)) == message


@pytest.mark.parametrize("name", golden_names("serf-0.9.4/datagram"))
def test_stock_messages_are_encoded_to_the_same_bytes(name: str) -> None:
    """Each recorded Serf message, decoded and encoded again, is byte for byte what the stock agent sent."""
    for payload in user_messages(name):
        assert serf.encode_serf(serf.decode_serf(payload)) == payload


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("datagram-crc-user0", [LeaveIntent(2, "stock3")]),
        (
            "datagram-crc-compound-alive-user1-user3",
            [JoinIntent(1, "stock1"), UserEvent(1, "deploy", b"version 7", coalesce=True)],
        ),
        (
            "datagram-crc-compressed-user4-user3",
            [
                Query(1, 931299425, AGENT, 7946, "stock1", (), 1, 0, 500_000_000, "uptime", b"-"),
                UserEvent(2, "zeros", b"0" * 400, coalesce=True),
            ],
        ),
    ],
)
def test_stock_messages_mean_what_was_done(name: str, messages: list[SerfMessage]) -> None:
    """Recorded messages decode to the events, queries and departures of the recorded cluster."""
    assert [serf.decode_serf(payload) for payload in user_messages(f"serf-0.9.4/{name}")] == messages


def test_filter_of_many_names() -> None:
    """A query for a hundred nodes, by their names, is a query like any other."""
    names = b"\x00" + msgpack.packb([f"node-{number:04}" for number in range(100)])
    query = Query(1, 2, AGENT, 7946, "stock1", (names,), 0, 0, 1, "uptime", b"")
    assert serf.decode_serf(serf.encode_serf(query)) == query


def test_a_stock_push_pull_state_is_read() -> None:
    """The 512 empty event slots that an agent sends are no events."""
    message = StreamDecoder().feed(golden("serf-0.9.4/stream-pushpull"))
    assert isinstance(message, PushPull)
    assert serf.decode_serf(message.user_state) == SerfState(1, {"stock1": 0, "ear": 0}, (), 1, (), 1)


def test_a_relay_keeps_the_message_behind_its_header() -> None:
    """The relayed bytes are everything that follows the header, whatever they are."""
    header = {"DestAddr": {"IP": bytes(10) + b"\xff\xff" + ADDR, "Port": 80, "Zone": ""}, "DestName": "n"}
    message = serf.decode_serf(packed(9, header) + b"\x05\x80\x80")
    assert isinstance(message, Relay)
    assert (message.addr, message.payload) == (ADDR, b"\x05\x80\x80")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "empty"),
        (b"\x06\x80", "type 6"),
        (b"\x03", "no msgpack"),
        (b"\x03\x90", "a map of fields"),
        (packed(1, {"LTime": -1}), "Lamport"),
        (packed(1, {"LTime": 1 << 63, "Node": 1}), "Node"),
        (packed(2, {"Events": 5}), "Events"),
        (packed(2, {"Events": [5]}), "a map of fields"),
        (packed(2, {"Events": [{"LTime": 1, "Events": [None]}]}), "a map of fields"),
        (packed(2, {"StatusLTimes": {"n": "x"}}), "Lamport"),
        (packed(2, {"StatusLTimes": [1]}), "a map of fields"),
        (packed(2, {"LeftMembers": [1]}), "a member name"),
        (packed(4, {"LTime": 1}), "Addr"),
        (packed(4, {"Addr": ADDR, "Filters": ["ok", 1]}), "a filter"),
        (packed(4, {"Addr": ADDR, "Timeout": -5}), "Timeout"),
        (packed(5, {"ID": 1 << 32}), "ID"),
        (packed(9, {"DestName": "n"}), "a map of fields"),
        (packed(9, {"DestAddr": {"IP": b""}}), "IP"),
    ],
)
def test_nonsense_is_a_wire_error_that_names_the_field(data: bytes, complaint: str) -> None:
    """Bytes that make no Serf message are refused, saying what about them is wrong."""
    with pytest.raises(WireError, match=complaint):
        serf.decode_serf(data)


def test_tags_are_encoded_as_stock_agents_do() -> None:
    """The mark ff, then a map of raw strings."""
    assert serf.encode_tags({"role": "web"}) == b"\xff\x81\xa4role\xa3web"
    assert serf.decode_tags(b"\xff\x81\xa4role\xa3web") == {"role": "web"}


def test_meta_without_the_mark_is_a_role() -> None:
    """The first Serf versions had a role and no tags; no meta is no tags."""
    assert serf.decode_tags(b"web") == {"role": "web"}
    assert serf.decode_tags(b"") == {}


def test_tags_fill_512_bytes_and_no_more() -> None:
    """512 bytes of meta pass, 513 are the caller's mistake, told with the size."""
    overhead = len(serf.encode_tags({"tag": "x" * 300})) - 300
    assert len(serf.encode_tags({"tag": "x" * (512 - overhead)})) == 512
    with pytest.raises(UsageError, match="513 bytes"):
        serf.encode_tags({"tag": "x" * (513 - overhead)})


@pytest.mark.parametrize("meta", [b"\xff", b"\xff\x05", b"\xff\x81\x01\xa1x", b"\xff\x81\xa1x\x90"])
def test_broken_tags_are_a_wire_error(meta: bytes) -> None:
    """Tags are a map from text to text or they are refused."""
    with pytest.raises(WireError):
        serf.decode_tags(meta)


def test_tags_that_are_no_text_are_shown_with_replacements() -> None:
    """A foreign tag can't bring surrogates into logs and pages."""
    assert serf.decode_tags(b"\xff\x81\xa1k\xa1\xfe") == {"k": "�"}
