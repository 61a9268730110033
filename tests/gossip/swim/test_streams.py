"""Stream conversations: one message there, one back, and every way in which that can go wrong."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from gossip.errors import WireError
from gossip.swim.context import Context
from gossip.swim.effects import CloseStream, Effect, OpenStream, WriteStream
from gossip.swim.members import MemberTable, Record
from gossip.swim.outbox import Outbox
from gossip.swim.settings import LAN
from gossip.swim.streams import Streams
from gossip.swim.timers import Timers
from gossip.wire.messages import SERF_VERSIONS, Ack, ErrorReply, Message, Ping, PushPull, UserMessage
from gossip.wire.sealing import Sealer
from gossip.wire.stream import StreamDecoder, encode_stream
from tests.gossip.swim.cores import closed, written
from tests.gossip.wire.sealing import KEYS, sealer

PEER = ("10.0.1.2", 7946)
PING = encode_stream(Ping(7, "me"))
ACK = encode_stream(Ack(7))


class Fixture:
    """Streams that answer a ping with an ack, nothing to an ack, and refuse the rest; at most two at once."""

    def __init__(self, sealer: Sealer | None = None) -> None:
        self.outbox, self.timers = Outbox(), Timers()
        own = Record("me", b"\x0a\0\0\1", 7946, b"", SERF_VERSIONS)
        settings = replace(LAN, stream_limit=2, stream_message_bytes=1000, stream_buffer_bytes=1500)
        context = Context(settings, own, MemberTable(Random(1)), self.timers, self.outbox, Random(1), sealer)
        self.streams = Streams(context, self.answer)
        self.ended: list[tuple[Message | None, str]] = []

    def answer(self, message: Message, _now: float) -> bytes | None:
        if isinstance(message, Ping):
            return encode_stream(Ack(message.seq_no))
        if isinstance(message, Ack):
            return None
        raise WireError("not wanted here")

    def call(self) -> int:
        """We call and ping."""
        done = lambda reply, reason, _now: self.ended.append((reply, reason))  # noqa: E731 - one line is its point
        return self.streams.exchange(PEER, lambda: PING, 2.0, done, 0.0)

    def effects(self) -> list[Effect]:
        return self.outbox.drain()


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_exchange(fixture: Fixture) -> None:
    """We open, speak once connected, hand the reply on, and close."""
    stream = fixture.call()
    assert stream > 0
    assert fixture.effects() == [OpenStream(stream, PEER, 2.0)]
    fixture.streams.opened(stream)
    assert fixture.effects() == [WriteStream(stream, PING)]
    for byte in ACK:
        fixture.streams.received(stream, bytes((byte,)), 0.1)
    assert fixture.effects() == [CloseStream(stream)]
    assert fixture.ended == [(Ack(7), "")]
    assert fixture.timers.next_deadline() is None


def test_exchange_that_fails(fixture: Fixture) -> None:
    """Refused, cut off, broken, nonsense, refused by words, silent: each ends the exchange once, with the reason."""
    failures: dict[str, Callable[[int], None]] = {
        "connection refused": lambda stream: fixture.streams.closed(stream, "connection refused", 0.1),
        "closed without an answer": lambda stream: fixture.streams.closed(stream, "", 0.1),
        "not understood: message type 99": lambda stream: fixture.streams.received(stream, b"\x63", 0.1),
        "refused: no": lambda stream: fixture.streams.received(stream, encode_stream(ErrorReply("no")), 0.1),
        "no answer within 2 s": lambda _: fixture.timers.run(2.0),
    }
    for fail in failures.values():
        stream = fixture.call()
        fixture.streams.opened(stream)
        fail(stream)
        fixture.streams.closed(stream, "afterwards", 0.2)
        fixture.streams.received(stream, ACK, 0.2)
    assert [reply for reply, _ in fixture.ended] == [None] * len(failures)
    for (_, reason), expected in zip(fixture.ended, failures, strict=True):
        assert reason.startswith(expected)


def test_cancelled_exchange(fixture: Fixture) -> None:
    """A cancelled exchange is closed and calls nobody back; cancelling again does nothing."""
    stream = fixture.call()
    fixture.streams.cancel(stream)
    fixture.streams.cancel(stream)
    fixture.streams.received(stream, ACK, 0.1)
    assert closed(fixture.effects()) == [stream]
    assert fixture.ended == []


def test_accepted_stream_is_answered(fixture: Fixture) -> None:
    """A caller's message, cut anyhow, is answered and the stream closed."""
    fixture.streams.accepted(-1, PEER, 0.0)
    for byte in PING:
        fixture.streams.received(-1, bytes((byte,)), 0.0)
    effects = fixture.effects()
    assert written(effects, -1) == Ack(7)
    assert closed(effects) == [-1]


def test_accepted_stream_without_an_answer(fixture: Fixture) -> None:
    """What needs no answer is just closed."""
    fixture.streams.accepted(-1, PEER, 0.0)
    fixture.streams.received(-1, ACK, 0.0)
    assert fixture.effects() == [CloseStream(-1)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x63junk", "message type 99"), (encode_stream(PushPull(False, ())), "not wanted here")],
)
def test_refused_caller_hears_why(fixture: Fixture, data: bytes, reason: str) -> None:
    """Nonsense, and what we don't want, is answered with an error that says so."""
    fixture.streams.accepted(-1, PEER, 0.0)
    fixture.streams.received(-1, data, 0.0)
    effects = fixture.effects()
    reply = written(effects, -1)
    assert isinstance(reply, ErrorReply)
    assert reason in reply.error
    assert closed(effects) == [-1]


def test_message_too_large(fixture: Fixture) -> None:
    """A message beyond the limit is refused as soon as it is announced."""
    fixture.streams.accepted(-1, PEER, 0.0)
    fixture.streams.received(-1, encode_stream(UserMessage(b"x" * 1001))[:20], 0.0)
    assert isinstance(written(fixture.effects(), -1), ErrorReply)


def test_too_much_at_once(fixture: Fixture) -> None:
    """All unfinished messages together are bounded; the stream that goes beyond is refused and frees its part."""
    large = encode_stream(UserMessage(b"x" * 900))[:800]
    for number in (-1, -2):
        fixture.streams.accepted(number, PEER, 0.0)
        fixture.streams.received(number, large, 0.0)
    effects = fixture.effects()
    assert (written(effects, -1), closed(effects)) == (None, [-2])
    fixture.streams.accepted(-3, PEER, 0.0)
    fixture.streams.received(-3, PING, 0.0)
    assert written(fixture.effects(), -3) == Ack(7)


@pytest.mark.parametrize("how", ["silent", "ends", "breaks"])
def test_accepted_stream_that_comes_to_nothing(fixture: Fixture, how: str) -> None:
    """A caller that stays silent, ends or breaks in the middle frees its place."""
    for number in (-1, -2):
        fixture.streams.accepted(number, PEER, 0.0)
        fixture.streams.received(number, PING[:3], 0.0)
    if how == "silent":
        fixture.timers.run(LAN.stream_timeout_s)
    else:
        for number in (-1, -2):
            fixture.streams.closed(number, "" if how == "ends" else "connection reset", 1.0)
    assert closed(fixture.effects()) == ([] if how == "breaks" else [-1, -2])
    fixture.streams.accepted(-3, PEER, 20.0)
    fixture.streams.received(-3, PING, 20.0)
    assert written(fixture.effects(), -3) == Ack(7)


def test_too_many_callers(fixture: Fixture) -> None:
    """One caller too many is closed unread, the others go on."""
    for number in (-1, -2, -3):
        fixture.streams.accepted(number, PEER, 0.0)
    assert closed(fixture.effects()) == [-3]
    fixture.streams.received(-3, PING, 0.0)
    fixture.streams.received(-1, PING, 0.0)
    effects = fixture.effects()
    assert (written(effects, -3), written(effects, -1)) == (None, Ack(7))
    fixture.streams.accepted(-4, PEER, 0.0)
    assert fixture.effects() == []


@pytest.fixture
def sealing() -> Fixture:
    """A node with a key."""
    return Fixture(sealer())


def opened_reply(effects: list[Effect], key: Sealer) -> Message | None:
    """The message that was written to an accepted stream, read by somebody with this key."""
    data = b"".join(effect.data for effect in effects if isinstance(effect, WriteStream))
    return StreamDecoder(sealer=key).feed(data)


def test_sealed_exchange(sealing: Fixture) -> None:
    """With a key we speak and hear sealed."""
    stream = sealing.call()
    sealing.streams.opened(stream)
    assert opened_reply(sealing.effects(), sealer()) == Ping(7, "me")
    sealing.streams.received(stream, sealer().seal_stream(ACK), 0.1)
    assert sealing.ended == [(Ack(7), "")]


def test_sealed_caller_is_answered_sealed(sealing: Fixture) -> None:
    """A caller with our key gets an answer that only the key opens."""
    sealing.streams.accepted(-1, PEER, 0.0)
    sealing.streams.received(-1, sealer().seal_stream(PING), 0.0)
    assert opened_reply(sealing.effects(), sealer()) == Ack(7)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(PING, "not encrypted"), (sealer(KEYS[1]).seal_stream(PING), "no key of this node"), (b"\x63junk", "not encr")],
)
def test_plain_and_wrong_callers_are_refused_sealed(sealing: Fixture, data: bytes, reason: str) -> None:
    """Who has no key, or another, hears nothing that it can read: the refusal is sealed with our key."""
    sealing.streams.accepted(-1, PEER, 0.0)
    sealing.streams.received(-1, data, 0.0)
    effects = sealing.effects()
    reply = opened_reply(effects, sealer())
    assert isinstance(reply, ErrorReply)
    assert reason in reply.error
    assert closed(effects) == [-1]
    with pytest.raises(WireError):
        opened_reply(effects, sealer(KEYS[1]))


def test_sealed_answer_to_a_node_without_key(fixture: Fixture) -> None:
    """A node without a key that calls one with a key ends with a reason that says what to do."""
    stream = fixture.call()
    fixture.streams.opened(stream)
    fixture.streams.received(stream, sealer().seal_stream(encode_stream(ErrorReply("no"))), 0.1)
    ((reply, reason),) = fixture.ended
    assert reply is None
    assert "this node has no key: give it the cluster's keys" in reason
