"""Invariant: whatever the bytes, a wire decoder returns a value or raises WireError; what we encode, we decode."""

from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.errors import WireError
from gossip.wire import codec, envelope, lzw, serf
from gossip.wire.keyring import Key
from gossip.wire.messages import Alive, NodeEntry, PushPull, UserEvent, WireState
from gossip.wire.stream import StreamDecoder, StreamLimits, encode_stream
from tests.gossip.wire.sealing import KEYS, SECRETS, sealer, version_0

FIELD_NAMES = st.sampled_from(
    """
    SeqNo Node SourceAddr SourcePort Target Port Nack Payload Incarnation From Addr Meta Vsn Nodes UserStateLen Join
    Name State UserMsgLen Error Algo Buf LTime Prune StatusLTimes LeftMembers EventLTime Events QueryLTime CC ID Filters
    Flags RelayFactor Timeout DestAddr DestName IP
    """.split()  # noqa: SIM905 (forty quoted names would hide the list)
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | FIELD_NAMES, inner, max_size=4),
    max_leaves=8,
)
#: Bytes that look like a message: a type byte and a map with known names and any values, perhaps with junk behind it.
PLAUSIBLE = st.builds(
    lambda kind, fields, new_format, junk: bytes((kind,)) + msgpack.packb(fields, use_bin_type=new_format) + junk,
    st.integers(0, 14),
    st.dictionaries(FIELD_NAMES, VALUES, max_size=8),
    st.booleans(),
    st.binary(max_size=20),
)
BYTES = st.binary(max_size=200) | PLAUSIBLE
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
ADDRESSES = st.binary(min_size=4, max_size=4)
META = st.binary(max_size=100)

KEY = sealer()
SECRET = SECRETS[0]

SMALL = StreamLimits(user_bytes=1 << 16, nodes=100, message_bytes=1 << 16)


def all_leaves(data: bytes) -> None:
    for message in envelope.unpack(data):
        codec.decode(message)


def sealed_leaves(data: bytes) -> None:
    for part in envelope.unpack(data, KEY):
        codec.decode(part)


def leaves_of_sealed(data: bytes) -> None:
    for sealed in (KEY.seal(data), version_0(data, SECRET), version_0(data, SECRET, padding=b"")):
        sealed_leaves(sealed)


def limited_lzw(data: bytes) -> None:
    assert len(lzw.decompress(data, 10_000)) <= 10_000


@pytest.mark.parametrize(
    "decoder",
    [
        codec.decode,
        envelope.unpack,
        all_leaves,
        sealed_leaves,
        leaves_of_sealed,
        serf.decode_serf,
        serf.decode_tags,
        limited_lzw,
    ],
)
@given(BYTES)
def test_a_decoder_returns_or_raises_wire_error(decoder: Callable[[bytes], object], data: bytes) -> None:
    """No other exception ever comes out of a decoder."""
    try:
        decoder(data)
    except WireError:
        pass


@given(BYTES, st.integers(1, 7))
def test_the_stream_decoder_does_not_see_how_bytes_were_cut(data: bytes, step: int) -> None:
    """Whole or in pieces, a stream gives the same message or the same kind of refusal."""

    def read(pieces: list[bytes]) -> object:
        decoder = StreamDecoder(SMALL)
        message = None
        try:
            for piece in pieces:
                message = decoder.feed(piece) or message
        except WireError:
            return WireError
        return message

    assert read([data]) == read([data[at : at + step] for at in range(0, len(data), step)])


@given(BYTES | BYTES.map(KEY.seal_stream), st.integers(1, 7))
def test_the_stream_decoder_with_keys_does_not_see_how_bytes_were_cut(data: bytes, step: int) -> None:
    """Sealed or not, whole or in pieces, a stream gives the same message or a refusal."""

    def read(pieces: list[bytes]) -> object:
        decoder = StreamDecoder(SMALL, KEY)
        message = None
        try:
            for piece in pieces:
                message = decoder.feed(piece) or message
        except WireError:
            return WireError
        return message

    assert read([data]) == read([data[at : at + step] for at in range(0, len(data), step)])


@given(st.binary(max_size=2000), st.binary(max_size=40), st.sampled_from(KEYS))
def test_what_is_sealed_is_opened_by_those_who_have_the_key(message: bytes, associated: bytes, key: Key) -> None:
    """Any message comes out as it went in, with any of the ring's keys, and with no other's."""
    data = sealer(key).seal(message, associated)
    assert sealer(*KEYS).open(data, associated) == message
    others = [other for other in KEYS if other != key]
    for opener, context in ((sealer(*others), associated), (sealer(key), associated + b"x")):
        with pytest.raises(WireError):
            opener.open(data, context)


@given(st.binary(max_size=200), st.integers(0), st.integers(1, 255))
def test_a_changed_envelope_is_not_opened(message: bytes, at: int, change: int) -> None:
    """Whichever byte is changed into whatever, an envelope gives nothing."""
    data = bytearray(KEY.seal(message))
    data[at % len(data)] ^= change
    try:
        assert KEY.open(bytes(data)) == message[: -message[-1]]  # the version byte only: taken for padded
    except WireError:
        pass


@given(st.binary(max_size=3000) | st.builds(bytes.__mul__, st.binary(max_size=7), st.integers(0, 5000)))
def test_lzw_gives_back_its_input(data: bytes) -> None:
    """Compressing and decompressing changes nothing, and fits the exact limit."""
    assert lzw.decompress(lzw.compress(data), len(data)) == data


@given(st.lists(st.binary(min_size=1, max_size=300).filter(lambda m: m[0] not in (7, 9, 12)), min_size=1, max_size=30))
def test_packed_messages_are_unpacked(messages: list[bytes]) -> None:
    """A datagram gives back its messages in order."""
    assert envelope.unpack(envelope.pack(messages)) == messages


@given(st.integers(0, 2**32 - 1), NAMES, ADDRESSES, st.integers(0, 65535), META)
def test_an_alive_survives(incarnation: int, name: str, addr: bytes, port: int, meta: bytes) -> None:
    """Any legal claim is decoded as it was encoded."""
    message = Alive(incarnation, name, addr, port, meta)
    assert codec.decode(codec.encode(message)) == message


@given(
    st.lists(
        st.builds(
            NodeEntry, NAMES, ADDRESSES, st.integers(0, 65535), META, st.integers(0, 9), st.sampled_from(WireState)
        )
    )
)
def test_a_push_pull_survives(nodes: list[NodeEntry]) -> None:
    """Any table is decoded as it was encoded."""
    message = PushPull(False, tuple(nodes), b"state")
    assert StreamDecoder().feed(encode_stream(message)) == message


@given(st.integers(0, 2**64 - 1), NAMES, st.binary(max_size=500), st.booleans())
def test_a_user_event_survives(ltime: int, name: str, payload: bytes, coalesce: bool) -> None:
    """Any event is decoded as it was encoded."""
    message = UserEvent(ltime, name, payload, coalesce)
    assert serf.decode_serf(serf.encode_serf(message)) == message


@given(st.dictionaries(NAMES, NAMES, max_size=4))
def test_tags_survive(tags: dict[str, str]) -> None:
    """Any small tag set is decoded as it was encoded."""
    assert serf.decode_tags(serf.encode_tags({key[:20]: value[:20] for key, value in tags.items()})) == {
        key[:20]: value[:20] for key, value in tags.items()
    }
