"""Envelopes: what stock agents sealed is opened, what we seal is theirs byte for byte, and nothing else opens."""

import pytest

from gossip.errors import WireError
from gossip.wire import codec, envelope
from gossip.wire.keyring import Keyring
from gossip.wire.messages import KeyRequest, Ping, Query, UserMessage
from gossip.wire.sealing import OVERHEAD_BYTES, Sealer
from gossip.wire.serf import decode_serf
from tests.golden.files import golden, golden_names
from tests.gossip.wire.sealing import GOLDEN_KEY, KEYS, SECRETS, sealer, version_0

MESSAGE = b"\x08message"
DATAGRAMS = golden_names("serf-0.9.4-encrypted/datagram")
STREAMS = golden_names("serf-0.9.4-encrypted/stream")


def again(data: bytes) -> Sealer:
    """A sealer whose one nonce is that of an envelope which was recorded."""
    return Sealer(Keyring([GOLDEN_KEY]), lambda size: data[1 : 1 + size])


@pytest.mark.parametrize("name", DATAGRAMS)
def test_stock_datagrams_open_and_seal_to_the_same_bytes(name: str) -> None:
    """A recorded datagram opens with the agents' key; sealed by us with its nonce it is what the agent sent."""
    data = golden(name)
    message = sealer(GOLDEN_KEY).open(data)
    assert len(data) - len(message) == OVERHEAD_BYTES
    assert again(data).seal(message) == data


@pytest.mark.parametrize("name", DATAGRAMS)
def test_stock_datagrams_hold_what_they_are_named_after(name: str) -> None:
    """Below the envelope come CRC, compression and compound, as in a cluster without keys."""
    kinds = {"ping": 0, "indirect_ping": 1, "suspect": 3, "alive": 4, "dead": 5}
    words = name.partition("datagram-")[2].replace("indirect-ping", "indirect_ping").split("-")
    leaves = [kinds.get(word, 8) for word in words if word not in ("crc", "compound", "compressed")]
    assert [message[0] for message in envelope.unpack(golden(name), sealer(GOLDEN_KEY))] == leaves


@pytest.mark.parametrize("name", STREAMS)
def test_stock_streams_open_and_seal_to_the_same_bytes(name: str) -> None:
    """A recorded stream is a header of five bytes, authenticated with the envelope behind it."""
    data = golden(name)
    message = sealer(GOLDEN_KEY).open_stream(data[5:])
    assert again(data[5:]).seal_stream(message) == data


def test_a_stock_key_query_is_read() -> None:
    """What `serf keys -install` makes an agent send: a query whose payload holds the key."""
    found = []
    for name in DATAGRAMS:
        for part in envelope.unpack(golden(name), sealer(GOLDEN_KEY)):
            message = codec.decode(part)
            if isinstance(message, UserMessage) and isinstance(query := decode_serf(message.payload), Query):
                found.append((query.name, query.flags, query.filters, query.payload))
    payloads = {payload for name, *_, payload in found if name == "_serf_install-key"}
    assert [decode_serf(payload) for payload in payloads] == [KeyRequest(bytes(range(32)))]


def test_a_stock_ping_is_read() -> None:
    """The prober's first question, through all layers."""
    (part,) = envelope.unpack(golden("serf-0.9.4-encrypted/datagram-ping"), sealer(GOLDEN_KEY))
    message = codec.decode(part)
    assert isinstance(message, Ping)
    assert message.node == "ear"


def test_each_message_has_a_nonce_of_its_own() -> None:
    """The same message sealed twice is two envelopes, both of version 1."""
    ours = sealer()
    first, second = ours.seal(MESSAGE), ours.seal(MESSAGE)
    assert first[0] == second[0] == 1
    assert first[1:13] != second[1:13]
    assert ours.open(first) == ours.open(second) == MESSAGE


def test_the_first_key_seals_and_all_open() -> None:
    """In the midst of a rotation both halves of a cluster understand each other."""
    early, late = sealer(KEYS[0], KEYS[1]), sealer(KEYS[1], KEYS[0])
    assert late.open(early.seal(MESSAGE)) == MESSAGE
    assert early.open(late.seal(MESSAGE)) == MESSAGE
    with pytest.raises(WireError, match="no key"):
        sealer(KEYS[0]).open(late.seal(MESSAGE))


def test_a_ring_that_changes_is_followed() -> None:
    """The sealer asks its ring each time."""
    ours = sealer(KEYS[0])
    ours.keyring.add(KEYS[1])
    ours.keyring.use(KEYS[1])
    assert sealer(KEYS[1]).open(ours.seal(MESSAGE)) == MESSAGE


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100])
def test_version_0_is_opened(length: int) -> None:
    """The padding of the old version comes off, whole blocks of it too."""
    message = bytes(range(length))
    assert sealer().open(version_0(message, SECRETS[0])) == message


@pytest.mark.parametrize("padding", [b"\x00" * 16, b"\x11" * 17, b"\x02\x03\x03", b"\x05" * 4, b""])
def test_wrong_padding_is_refused(padding: bytes) -> None:
    """Nothing, more than a block, unequal bytes, more than there is."""
    with pytest.raises(WireError, match="padding"):
        sealer().open(version_0(b"", SECRETS[0], padding=padding))


def test_every_changed_bit_spoils_the_envelope() -> None:
    """Nonce, ciphertext and tag: whatever is changed or cut off, nothing is opened."""
    ours = sealer()
    data = ours.seal(MESSAGE)
    for at in range(1, len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(WireError, match="no key"):
            ours.open(bytes(changed))
    for length in range(len(data)):
        with pytest.raises(WireError):
            ours.open(data[:length])


def test_what_is_associated_has_to_be_equal() -> None:
    """An envelope of a stream is no datagram, and none of a stream with another length."""
    ours = sealer()
    on_stream = ours.seal_stream(MESSAGE)
    assert ours.open_stream(on_stream[5:]) == MESSAGE
    with pytest.raises(WireError, match="no key"):
        ours.open(on_stream[5:])
    with pytest.raises(WireError, match="no key"):
        ours.open_stream(ours.seal(MESSAGE))


@pytest.mark.parametrize("version", [2, 7, 255])
def test_unknown_versions_are_refused(version: int) -> None:
    """A first byte that is no version is most often a plain message."""
    with pytest.raises(WireError, match="not encrypted"):
        sealer().open(bytes((version,)) + sealer().seal(MESSAGE)[1:])


def test_plain_datagrams_are_refused() -> None:
    """With a key nothing is taken that was not sealed, also what begins like an envelope."""
    for name in golden_names("serf-0.9.4/datagram"):
        with pytest.raises(WireError):
            envelope.unpack(golden(name), sealer(GOLDEN_KEY))


def test_datagrams_are_sealed_as_a_whole() -> None:
    """`pack` and `unpack` know the envelope around one message and around several."""
    ours = sealer()
    for messages in ([MESSAGE], [MESSAGE, b"\x02\x80", MESSAGE]):
        data = envelope.pack(messages, ours)
        assert len(data) == len(envelope.pack(messages)) + OVERHEAD_BYTES
        assert envelope.unpack(data, ours) == messages
