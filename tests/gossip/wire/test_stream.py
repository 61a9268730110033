"""Streams: every message whole, byte by byte and with junk behind it; nothing unbounded."""

from collections.abc import Iterable

import msgpack
import pytest

from gossip.errors import UsageError, WireError
from gossip.wire import lzw
from gossip.wire.fields import pack
from gossip.wire.messages import Ack, Message, Nack, Ping, PushPull, Suspect
from gossip.wire.stream import StreamDecoder, StreamLimits, encode_stream
from tests.golden.files import golden
from tests.gossip.wire.samples import ADDR, PUSH_PULL, STREAMS
from tests.gossip.wire.sealing import GOLDEN_KEY, KEYS, sealer

SMALL = StreamLimits(user_bytes=100, nodes=4, message_bytes=1000, compressed_bytes=500)


def compressed(message: bytes) -> bytes:
    """As a sender with compression on (the default of stock nodes) wraps it."""
    return b"\x09" + pack({"Algo": 0, "Buf": lzw.compress(message)})


def push_pull(**header: object) -> bytes:
    return b"".join((b"\x06", msgpack.packb(header)))


def feed_all(decoder: StreamDecoder, pieces: Iterable[bytes]) -> list[Message | None]:
    return [decoder.feed(piece) for piece in pieces]


@pytest.mark.parametrize("wrap", [bytes, compressed])
@pytest.mark.parametrize("message", STREAMS, ids=lambda message: type(message).__name__)
class TestPieces:
    def test_whole(self, message: Message, wrap: type[bytes]) -> None:
        """One piece that holds the message gives it at once."""
        decoder = StreamDecoder()
        assert decoder.feed(wrap(encode_stream(message))) == message

    def test_byte_by_byte(self, message: Message, wrap: type[bytes]) -> None:
        """The message comes with its last byte, not before and not twice."""
        decoder = StreamDecoder()
        data = wrap(encode_stream(message))
        results = feed_all(decoder, (data[at : at + 1] for at in range(len(data))))
        assert results == [None] * (len(data) - 1) + [message]

    def test_trailing_junk(self, message: Message, wrap: type[bytes]) -> None:
        """What follows the message is ignored."""
        decoder = StreamDecoder()
        assert decoder.feed(wrap(encode_stream(message)) + b"junk") == message
        assert decoder.feed(b"more junk") is None

    def test_cut_off(self, message: Message, wrap: type[bytes]) -> None:
        """A stream that ends inside the message has given none, wherever it ends."""
        data = wrap(encode_stream(message))
        for length in {0, 1, 2, len(data) // 2, len(data) - 1}:
            assert StreamDecoder().feed(data[:length]) is None


def test_stock_push_pulls_are_read() -> None:
    """Both directions of a recorded push/pull, compressed as agents send it, hold the recorded cluster."""
    asked = StreamDecoder().feed(golden("serf-0.9.4/stream-pushpull"))
    answered = StreamDecoder().feed(golden("serf-0.9.4/stream-push-pull-reply"))
    assert isinstance(asked, PushPull)
    assert isinstance(answered, PushPull)
    assert asked.join
    assert answered.join
    assert [node.name for node in asked.nodes] == ["ear", "stock1"]
    assert [node.name for node in answered.nodes] == ["stock1"]


def test_a_stock_ping_is_read() -> None:
    """The fallback ping of a prober whose datagrams stayed unanswered."""
    message = StreamDecoder().feed(golden("serf-0.9.4/stream-ping"))
    assert message == Ping(4, "ear", bytes((127, 0, 9, 2)), 7946, "stock2")


@pytest.mark.parametrize("message", [Nack(1), Suspect(1, "a", "b")])
def test_datagram_messages_have_no_stream(message: Message) -> None:
    """Asking for the impossible is the caller's mistake."""
    with pytest.raises(UsageError, match=type(message).__name__):
        encode_stream(message)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x03\x80", "type 3"),
        (b"\x07\x01", "type 7"),
        (b"\x0a\x00\x00\x00\x05", "has no key"),
        (b"\xf4\x05label", "labels"),
        (b"\x06\x05", "a map of fields"),
        (b"\x06\xc1", "no msgpack"),
        (push_pull(Nodes=5), "Nodes announces 5"),
        (push_pull(Nodes=-1), "Nodes"),
        (push_pull(UserStateLen=101), "UserStateLen announces 101"),
        (push_pull(Nodes=1) + msgpack.packb({"Name": "n", "Port": 1}), "Addr"),
        (push_pull(Nodes=1) + msgpack.packb({"Addr": ADDR}), "Name"),
        (push_pull(Nodes=1) + msgpack.packb({"Name": "n", "Addr": ADDR, "State": 4}), "State is 4"),
        (push_pull(Join=5), "Join"),
        (b"\x08" + msgpack.packb({"UserMsgLen": 101}), "UserMsgLen announces 101"),
        (b"\x00" + msgpack.packb({"SeqNo": "x"}), "SeqNo"),
        (b"\x00\x81\xa1x\xda\x7f\xff" + bytes(1000), "larger than 1000"),
        (b"\x09\x82\xa3Buf\xda\x03\x00" + bytes(600), "larger than 500"),
        (b"\x09\xdf\xff\xff\xff\xff", "2 fields"),
        (b"\x09\x81\xa3Buf\x90", "Buf"),
        (b"\x09\x81\xa3Buf\x91\x01", "no msgpack"),
        (b"\x09" + pack({"Algo": 9, "Buf": b"x"}), "algorithm 9"),
        (b"\x09" + pack({"Algo": 0, "Buf": b"x"}), "end code"),
        (compressed(compressed(b"\x00\x80")), "another compressed"),
        (compressed(push_pull(Nodes=1)), "incomplete"),
        (compressed(b""), "incomplete"),
        (compressed(b"\x08" + bytes(2000)), "grows beyond 1000"),
    ],
)
def test_nonsense_and_excess_are_wire_errors(data: bytes, complaint: str) -> None:
    """Whole or byte by byte, a bad stream is refused with a reason, and stays refused."""
    for step in (len(data), 1):
        decoder = StreamDecoder(SMALL)
        with pytest.raises(WireError, match=complaint):
            feed_all(decoder, (data[at : at + step] for at in range(0, len(data), step)))
        with pytest.raises(WireError, match=complaint):
            decoder.feed(b"x")


def test_an_object_that_never_ends_is_given_up() -> None:
    """A header or row is small; one that goes on growing is refused long before the message's limit."""
    decoder = StreamDecoder()
    endless = [b"\x00\x81\xa1x\xdb\x00\xff\xff\xff"] + [bytes(1000)] * 100
    with pytest.raises(WireError, match="16384"):
        feed_all(decoder, endless)


def test_two_rows_may_tell_of_one_node() -> None:
    """The decoder doesn't judge claims: the rows come as they were sent."""
    twice = PushPull(False, PUSH_PULL.nodes[:1] * 2)
    assert StreamDecoder().feed(encode_stream(twice)) == twice


def test_an_ack_without_payload_is_written_as_nil() -> None:
    """As stock nodes write an empty byte slice."""
    assert encode_stream(Ack(5)) == b"\x02\x82\xa7Payload\xc0\xa5SeqNo\x05"


def sealed(message: bytes) -> bytes:
    return sealer().seal_stream(message)


@pytest.mark.parametrize("message", STREAMS, ids=lambda message: type(message).__name__)
def test_sealed_messages_are_read_in_pieces(message: Message) -> None:
    """With a key the message comes with the last byte of its envelope, compressed inside or not."""
    for data in (sealed(encode_stream(message)), sealed(compressed(encode_stream(message)))):
        decoder = StreamDecoder(sealer=sealer())
        assert feed_all(decoder, (data[at : at + 1] for at in range(len(data)))) == [None] * (len(data) - 1) + [message]
        assert decoder.feed(b"junk") is None
        whole = StreamDecoder(sealer=sealer())
        assert whole.feed(data + b"junk") == message


def test_stock_sealed_streams_are_read() -> None:
    """A recorded push/pull and ping of agents with `-encrypt`."""
    asked, answered, ping = (
        StreamDecoder(sealer=sealer(GOLDEN_KEY)).feed(golden(f"serf-0.9.4-encrypted/stream-{name}"))
        for name in ("pushpull", "push-pull-reply", "ping")
    )
    assert isinstance(asked, PushPull)
    assert isinstance(answered, PushPull)
    assert {node.name for node in answered.nodes} == {"stock1"}
    assert isinstance(ping, Ping)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (encode_stream(Ack(1)), "not encrypted, and this node has a key"),
        (b"\xf4\x05label", "not encrypted"),
        (b"\x0a\x00\x00\x04\x16", "1046 bytes, the limit is 1000"),
        (b"\x0a\xff\xff\xff\xff", "4294967295 bytes"),
        (b"\x0a\x00\x00\x00\x00", "at least 29"),
        (b"\x0a\x00\x00\x00\x1d" + bytes(29), "no key of this node"),
        (sealer(KEYS[1]).seal_stream(b"\x00\x80"), "no key of this node"),
        (sealed(sealed(b"\x00\x80")), "another encrypted"),
        (sealed(push_pull(Nodes=1)), "incomplete"),
        (sealed(b""), "incomplete"),
        (sealed(b"\x63"), "type 99"),
        (sealed(push_pull(Nodes=5)), "Nodes announces 5"),
        (sealed(compressed(b"\x08" + bytes(2000))), "grows beyond 1000"),
    ],
)
def test_what_a_node_with_keys_refuses(data: bytes, complaint: str) -> None:
    """Whole or byte by byte: plain, too long, of another key, changed, nested, or nonsense inside."""
    for step in (len(data), 1):
        decoder = StreamDecoder(SMALL, sealer())
        with pytest.raises(WireError, match=complaint):
            feed_all(decoder, (data[at : at + step] for at in range(0, len(data), step)))
        with pytest.raises(WireError, match=complaint):
            decoder.feed(b"x")
