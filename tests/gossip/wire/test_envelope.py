"""Datagrams: what is packed is unpacked, and wrappers come off in any legal and no illegal nesting."""

import struct
import zlib

import pytest

from gossip.errors import UsageError, WireError
from gossip.wire import envelope, lzw
from gossip.wire.fields import pack as pack_object
from tests.golden.files import golden, golden_names

ONE, TWO, THREE = b"\x08one", b"\x08two", b"\x02\x80"


def with_crc(data: bytes) -> bytes:
    return b"\x0c" + struct.pack(">I", zlib.crc32(data)) + data


def compressed(data: bytes, algorithm: int = 0) -> bytes:
    return b"\x09" + pack_object({"Algo": algorithm, "Buf": lzw.compress(data)})


def test_one_message_goes_bare() -> None:
    """A single message is its own datagram."""
    assert envelope.pack([ONE]) == ONE
    assert envelope.unpack(ONE) == [ONE]


def test_several_messages_are_a_compound() -> None:
    """Type, count, lengths, messages; in order."""
    assert envelope.pack([ONE, THREE]) == b"\x07\x02\x00\x04\x00\x02" + ONE + THREE
    assert envelope.unpack(envelope.pack([ONE, TWO, THREE])) == [ONE, TWO, THREE]


def test_255_messages_fit() -> None:
    """The count is one byte; one more is the caller's mistake, as are none and one too long for its length field."""
    assert len(envelope.unpack(envelope.pack([ONE] * 255))) == 255
    with pytest.raises(UsageError, match="256"):
        envelope.pack([ONE] * 256)
    with pytest.raises(UsageError, match="not 0"):
        envelope.pack([])
    with pytest.raises(UsageError, match="65536"):
        envelope.pack([ONE, bytes(65536)])


@pytest.mark.parametrize("name", golden_names("serf-0.9.4/datagram"))
def test_stock_datagrams_come_apart(name: str) -> None:
    """A recorded datagram holds the messages that its file is named after."""
    kinds = {"ping": 0, "indirect_ping": 1, "suspect": 3, "alive": 4, "dead": 5}
    words = name.removeprefix("serf-0.9.4/datagram-").replace("indirect-ping", "indirect_ping").split("-")
    leaves = [kinds.get(word, 8) for word in words if word not in ("crc", "compound", "compressed")]
    assert [message[0] for message in envelope.unpack(golden(name))] == leaves


@pytest.mark.parametrize(
    "data",
    [
        with_crc(ONE),
        compressed(ONE),
        with_crc(compressed(ONE)),
        with_crc(compressed(envelope.pack([ONE, b""]))),
        envelope.pack([compressed(ONE), b""]),
        compressed(compressed(compressed(ONE))),
    ],
)
def test_wrappers_come_off(data: bytes) -> None:
    """CRC outside, then compression and compound in any order; empty members say nothing."""
    assert envelope.unpack(data) == [ONE]


def test_a_compound_cut_short_keeps_its_complete_members() -> None:
    """Every cut gives the messages before it, and never half a one."""
    whole = envelope.pack([ONE, TWO])
    for length in range(6, len(whole)):
        assert envelope.unpack(whole[:length]) == ([ONE] if length >= 10 else [])
    for length in range(1, 6):
        with pytest.raises(WireError, match="before the first"):
            envelope.unpack(whole[:length])


def test_a_wrong_crc_is_an_error() -> None:
    """A bit that flipped on the way spoils the datagram."""
    data = bytearray(with_crc(ONE))
    data[-1] ^= 1
    with pytest.raises(WireError, match="CRC"):
        envelope.unpack(bytes(data))
    with pytest.raises(WireError, match="at least 5"):
        envelope.unpack(b"\x0c\x00")


def test_a_crc_inside_is_a_message_of_its_own() -> None:
    """Only the outermost layer may be a CRC: inside, the codec refuses the type."""
    assert envelope.unpack(envelope.pack([with_crc(ONE), TWO]))[0][0] == 12


def test_nesting_has_an_end() -> None:
    """No datagram makes us recurse deeper than a few levels."""
    data = ONE
    for _ in range(5):
        data = compressed(data)
    with pytest.raises(WireError, match="deep"):
        envelope.unpack(data)


def test_all_compressed_members_share_one_budget() -> None:
    """255 members that each grow to 60 kB are refused as a whole."""
    bomb = compressed(b"\x08" + bytes(60_000))
    assert len(bomb) < 500
    assert len(envelope.unpack(bomb)) == 1
    with pytest.raises(WireError, match="grows beyond"):
        envelope.unpack(envelope.pack([bomb] * 2))


def test_unknown_compression_is_refused() -> None:
    """There is one algorithm."""
    with pytest.raises(WireError, match="algorithm 1"):
        envelope.unpack(compressed(ONE, algorithm=1))
