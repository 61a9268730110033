"""memberlist's messages against recorded bytes and against their own other direction."""

import msgpack
import pytest

from gossip.errors import UsageError, WireError
from gossip.wire import codec, envelope
from gossip.wire.messages import Ack, Alive, IndirectPing, Message, Nack, NodeEntry, Ping, Suspect, WireState
from tests.golden.files import golden, golden_names
from tests.gossip.wire.samples import ADDR, DATAGRAMS, PUSH_PULL

LOOPBACK = bytes((127, 0, 9, 1))


def new_style(kind: int, fields: dict[str, object]) -> bytes:
    """A message as a codec of the new msgpack spec writes it: str8 and bin."""
    return b"".join((bytes((kind,)), msgpack.packb(fields, use_bin_type=True)))


@pytest.mark.parametrize("message", DATAGRAMS, ids=lambda message: type(message).__name__)
def test_round_trip(message: Message) -> None:
    """What is encoded is decoded to an equal message."""
    assert codec.decode(codec.encode(message)) == message


@pytest.mark.parametrize("name", golden_names("serf-0.9.4/datagram"))
def test_stock_messages_are_encoded_to_the_same_bytes(name: str) -> None:
    """Each recorded message, decoded and encoded again, is byte for byte what the stock agent sent."""
    for message in envelope.unpack(golden(name)):
        assert codec.encode(codec.decode(message)) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("datagram-ping", Ping(4, "ear", bytes((127, 0, 9, 2)), 7946, "stock2")),
        (
            "datagram-indirect-ping",
            IndirectPing(3, bytes((127, 0, 9, 2)), 7946, "stock2", True, LOOPBACK, 7946, "stock1"),
        ),
        ("datagram-crc-suspect", Suspect(1, "stock2", "stock1")),
        ("datagram-crc-alive", Alive(2, "stock1", LOOPBACK, 7946, b"\xff\x82\xa4role\xa3web\xa4zone\xa5north")),
    ],
)
def test_stock_messages_mean_what_was_done(name: str, message: Message) -> None:
    """Recorded messages decode to the names, addresses and numbers of the recorded cluster."""
    assert [codec.decode(leaf) for leaf in envelope.unpack(golden(f"serf-0.9.4/{name}"))] == [message]


def test_only_the_old_raw_format_is_written() -> None:
    """Neither str8 nor bin is written where their lengths would allow: agents in the field refuse both."""
    encoded = codec.encode(Ack(1, b"p" * 200))
    assert b"\xda\x00\xc8" + b"p" * 200 in encoded
    assert b"\xc4" not in encoded
    assert b"\xd9" not in encoded


def test_both_formats_are_read() -> None:
    """str8, bin and a version vector as an array are understood like the raw format."""
    fields = {"Incarnation": 3, "Node": "n" * 40, "Addr": ADDR, "Port": 80, "Meta": b"m", "Vsn": [1, 5, 2, 2, 5, 5]}
    assert codec.decode(new_style(4, fields)) == Alive(3, "n" * 40, ADDR, 80, b"m")


def test_missing_and_nil_fields_are_zero_values() -> None:
    """Old senders leave fields out, others write nil; both mean nothing."""
    assert codec.decode(b"\x00\x80") == Ping(0, "")
    assert codec.decode(b"\x02\x82\xa5SeqNo\x05\xa7Payload\xc0") == Ack(5)


def test_unknown_fields_and_trailing_bytes_are_skipped() -> None:
    """Newer senders may add fields; Go's decoders ignore what follows the map, and so do we."""
    assert codec.decode(new_style(11, {"SeqNo": 5, "Extra": {"deep": [1, 2]}}) + b"junk") == Nack(5)


def test_signed_forms_of_numbers_are_read() -> None:
    """The newer Go codec writes Go's int as a signed number: d1 for what is below 2^15."""
    assert codec.decode(b"\x0b\x81\xa5SeqNo\xd1\x02\x61") == Nack(609)


def test_mapped_addresses_become_four_bytes() -> None:
    """An IPv4 address in its 16-byte form is the same address, and is kept in 4 bytes as peers compare bytes."""
    mapped = bytes(10) + b"\xff\xff" + ADDR
    message = codec.decode(new_style(4, {"Incarnation": 1, "Node": "n", "Addr": mapped, "Port": 1}))
    assert isinstance(message, Alive)
    assert message.addr == ADDR


def test_names_of_any_bytes_survive() -> None:
    """A name that is no UTF-8 is given back unchanged when it is sent on."""
    encoded = b"\x03\x83\xa4From\xa1\xfe\xabIncarnation\x01\xa4Node\xa2\xff\x00"
    assert codec.encode(codec.decode(encoded)) == encoded


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "empty"),
        (b"\x00", "no msgpack"),
        (b"\x00\x05", "a map of fields"),
        (b"\x06\x80", "type 6"),
        (b"\x07\x00", "type 7"),
        (b"\xf4\x01x", "type 244"),
        (b"\x00\x82\xa5SeqNo", "no msgpack"),
        (new_style(11, {"SeqNo": 1 << 32}), "SeqNo"),
        (new_style(11, {"SeqNo": -1}), "SeqNo"),
        (new_style(11, {"SeqNo": True}), "SeqNo"),
        (new_style(11, {"SeqNo": 1.5}), "SeqNo"),
        (new_style(0, {"SeqNo": 1, "Node": 5}), "Node"),
        (new_style(0, {"SeqNo": 1, "Node": "n" * 513}), "Node"),
        (new_style(0, {"SourceAddr": b"123"}), "SourceAddr"),
        (new_style(0, {"SourcePort": 65536}), "SourcePort"),
        (new_style(1, {"SeqNo": 1, "Port": 1}), "Target"),
        (new_style(1, {"Target": ADDR, "Nack": 1}), "Nack"),
        (new_style(3, {"Incarnation": 1, "From": "n"}), "Node"),
        (new_style(4, {"Incarnation": 1, "Node": "n", "Port": 1}), "Addr"),
        (new_style(4, {"Node": "n", "Addr": ADDR, "Meta": b"m" * 1025}), "Meta"),
        (new_style(4, {"Node": "n", "Addr": ADDR, "Vsn": [1, 300]}), "Vsn"),
        (new_style(4, {"Node": "n", "Addr": ADDR, "Vsn": "x" * 17}), "Vsn"),
        (new_style(4, {"Node": "n", "Addr": ADDR, "Vsn": {}}), "Vsn"),
        (new_style(0, {"Node": ["x"] * 2000}), "no msgpack"),
        (b"\x00\x81\x80\x01", "no msgpack"),  # a map as a key
    ],
)
def test_nonsense_is_a_wire_error_that_names_the_field(data: bytes, complaint: str) -> None:
    """Bytes that make no message are refused, saying what about them is wrong."""
    with pytest.raises(WireError, match=complaint):
        codec.decode(data)


def test_a_push_pull_has_no_datagram() -> None:
    """Asking for the impossible is the caller's mistake."""
    with pytest.raises(UsageError, match="PushPull"):
        codec.encode(PUSH_PULL)


def test_an_entry_with_an_unknown_state_is_refused() -> None:
    """There are four states; a fifth can't be merged."""
    entry = NodeEntry("n", ADDR, 1, b"", 1, WireState.LEFT)
    fields = msgpack.unpackb(codec.encode_entry(entry), raw=True)
    assert codec.decode_entry(fields) == entry
    with pytest.raises(WireError, match="State is 4"):
        codec.decode_entry({**fields, b"State": 4})
