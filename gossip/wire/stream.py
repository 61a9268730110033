"""Messages on a stream: one per direction and connection, read as the bytes come.

A stream's message is a datagram's message, except that a push/pull exists only here and that a user message
tells its length first. A sender with compression on (the default of stock nodes) wraps the whole message once.
In a cluster with keys the whole message is sealed, header and all; one without a key refuses that by name. A label
would come before everything; it is refused by name until it is spoken.
Source: memberlist `net.go` (`readStream`, `sendLocalState`, `readUserMsg`).
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NoReturn

import msgpack

from gossip.errors import UsageError, WireError
from gossip.wire.codec import MessageType, decode_entry, decode_fields, encode, encode_entry
from gossip.wire.envelope import inflate_buffer
from gossip.wire.fields import MAX_FLAT_ITEMS, MSGPACK_ERRORS, Fields, as_fields, boolean, pack, raw, shown, uint
from gossip.wire.messages import Ack, ErrorReply, Message, Ping, PushPull, UserMessage
from gossip.wire.sealing import MAX_OVERHEAD_BYTES, Sealer

#: A header or one node of a push/pull: name, meta and 100 bytes of the rest, with room for extension fields.
#: An unfinished object is parsed anew with each piece that arrives, so this bounds that work as well.
_MAX_OBJECT_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one stream may make us hold and work.

    memberlist accepts 20 MiB, 2^20 rows and 40 MiB, and is decoded by threads. Here a message is decoded in one
    go, during which no ping is answered: the defaults keep that below a second and leave room for 65,536 members.
    """

    user_bytes: int = 6 << 20
    """Serf's part of a push/pull, or a user message. 512 events of the largest size (9 KiB) are 4.7 MB."""
    nodes: int = 1 << 16
    """Rows of a push/pull; 10 microseconds each."""
    message_bytes: int = 24 << 20
    """The whole message, after decompression."""
    compressed_bytes: int = 1 << 20
    """The whole message as it comes, if compressed; 0.6 microseconds each. A table shrinks to a tenth and less."""


def encode_stream(message: Message) -> bytes:
    """The one message of a stream: a push/pull, ping, ack, user message or error. Others: `UsageError`.

    In a cluster with keys `Sealer.seal_stream` has to follow.
    """
    match message:
        case PushPull(join, nodes, user_state):
            header = pack({"Join": join, "Nodes": len(nodes), "UserStateLen": len(user_state)})
            rows = b"".join(map(encode_entry, nodes))
            return bytes((MessageType.PUSH_PULL,)) + header + rows + user_state
        case UserMessage(payload):
            return bytes((MessageType.USER,)) + pack({"UserMsgLen": len(payload)}) + payload
        case Ping() | Ack() | ErrorReply():
            return encode(message)
        case _:
            raise UsageError(f"{type(message).__name__} is sent in datagrams only")


class StreamDecoder:
    """Finds the one message of a stream, however its bytes are cut into pieces.

    Holds at most what `limits` allow plus one piece. After a `WireError` the stream is lost: every
    further call raises one. What a sender writes behind its message is ignored, as memberlist does.
    """

    def __init__(self, limits: StreamLimits | None = None, sealer: Sealer | None = None) -> None:
        """With a `sealer` nothing but what it opens is taken."""
        self._limits = limits or StreamLimits()
        self._sealer = sealer
        self._parser: _Parser | _SealedParser | None = None
        self._complete = False
        self._failure = ""

    def feed(self, data: bytes) -> Message | None:
        """The message, as soon as `data` completes it, and once only; None before and after. Raises `WireError`."""
        if self._failure:
            raise WireError(self._failure)
        if self._complete or not data:
            return None
        try:
            message = self._advance(data)
        except WireError as error:
            self._fail(str(error))
        except MSGPACK_ERRORS as error:
            self._fail(f"no msgpack object on the stream: {error}")
        if message is not None:
            self._complete = True
            self._parser = None  # lets go of the buffer while the connection lives on
        return message

    def _advance(self, data: bytes) -> Message | None:
        if self._parser is None:
            self._parser = _parser(data[0], self._limits, self._sealer)
            data = data[1:]
        return self._parser.feed(data)

    def _fail(self, reason: str) -> NoReturn:
        self._failure = reason
        self._parser = None
        raise WireError(reason)


#: A conversation with `_Parser.feed`: yields when it needs more bytes, returns the message.
_Steps = Generator[None, None, Message]


def _parser(kind: int, limits: StreamLimits, sealer: Sealer | None) -> "_Parser | _SealedParser":
    if sealer is not None:
        if kind != MessageType.ENCRYPTED:
            raise WireError("not encrypted, and this node has a key: give the sender the cluster's keys")
        return _SealedParser(limits, sealer)
    match kind:
        case MessageType.PUSH_PULL:
            return _PushPullParser(kind, limits)
        case MessageType.USER:
            return _UserParser(kind, limits)
        case MessageType.PING | MessageType.ACK | MessageType.ERROR:
            return _Parser(kind, limits)
        case MessageType.COMPRESSED:
            return _CompressedParser(kind, limits)
        case MessageType.ENCRYPTED:
            raise WireError("encrypted, and this node has no key: give it the cluster's keys")
        case MessageType.LABEL:
            raise WireError("the peer labels its gossip and this node has no label")
        case _:
            raise WireError(f"message type {kind} does not belong on a stream")


class _Parser:
    """Reads one message of a known type; as it stands, one that is a single map."""

    #: Bounds of the containers inside one object.
    max_items = MAX_FLAT_ITEMS

    def __init__(self, kind: int, limits: StreamLimits) -> None:
        self._kind = kind
        self._limits = limits
        self._max_bytes = limits.message_bytes if kind != MessageType.COMPRESSED else limits.compressed_bytes
        self._fed_bytes = 0
        self._unpacker = msgpack.Unpacker(
            raw=True,
            strict_map_key=False,
            max_buffer_size=self._max_bytes,
            max_array_len=self.max_items,
            max_map_len=self.max_items,
            max_ext_len=self.max_items,
        )
        self._progress = self._steps()

    def feed(self, data: bytes) -> Message | None:
        self._fed_bytes += len(data)
        if self._fed_bytes > self._max_bytes:
            raise WireError(f"the message is larger than {self._max_bytes} bytes")
        self._unpacker.feed(data)
        try:
            next(self._progress)
        except StopIteration as finished:
            message: Message = finished.value
            return message
        return None

    def _steps(self) -> _Steps:
        fields = yield from self._fields()
        return decode_fields(self._kind, fields)

    def _fields(self) -> Generator[None, None, Fields]:
        return as_fields((yield from self._object(_MAX_OBJECT_BYTES)))

    def _object(self, max_bytes: int) -> Generator[None, None, Any]:
        while True:
            try:
                return self._unpacker.unpack()
            except msgpack.OutOfData:
                unread = self._fed_bytes - self._unpacker.tell()
                if unread > max_bytes:
                    raise WireError(f"one object of the message is larger than {max_bytes} bytes") from None
                yield

    def _bytes(self, count: int) -> Generator[None, None, bytes]:
        collected = bytearray()
        while True:
            collected += self._unpacker.read_bytes(count - len(collected))
            if len(collected) == count:
                return bytes(collected)
            yield


class _PushPullParser(_Parser):
    def _steps(self) -> _Steps:
        header = yield from self._fields()
        count = _bounded(header, b"Nodes", self._limits.nodes)
        user_bytes = _bounded(header, b"UserStateLen", self._limits.user_bytes)
        nodes = []
        for _ in range(count):
            fields = yield from self._fields()
            nodes.append(decode_entry(fields))
        user_state = yield from self._bytes(user_bytes)
        return PushPull(boolean(header, b"Join"), tuple(nodes), user_state)


class _UserParser(_Parser):
    def _steps(self) -> _Steps:
        header = yield from self._fields()
        payload = yield from self._bytes(_bounded(header, b"UserMsgLen", self._limits.user_bytes))
        return UserMessage(payload)


class _CompressedParser(_Parser):
    """A wrapped message: its map holds millions of bytes, so it is read key by key, value by value.

    The values are bytes and numbers; with containers ruled out, asking again for an unfinished one costs nothing.
    """

    max_items = 0
    _MAX_FIELDS = 16

    def _steps(self) -> _Steps:
        fields: dict[object, object] = {}
        for _ in range((yield from self._map_length())):
            key = yield from self._object(_MAX_OBJECT_BYTES)
            fields[key] = yield from self._object(self._max_bytes)
        content = inflate_buffer(uint(fields, b"Algo", 8), raw(fields, b"Buf"), self._limits.message_bytes)
        if content[:1] == bytes((MessageType.COMPRESSED,)):
            raise WireError("a compressed message on a stream holds another compressed message")
        return _whole(content, self._limits)

    def _map_length(self) -> Generator[None, None, int]:
        while True:
            try:
                length: int = self._unpacker.read_map_header()
            except msgpack.OutOfData:
                yield
                continue
            if length > self._MAX_FIELDS:
                raise WireError(f"a compressed message has 2 fields, this one {length}")
            return length


class _SealedParser:
    """Waits for a whole envelope: nothing in it counts before its tag at the end has been checked."""

    _LENGTH_BYTES = 4

    def __init__(self, limits: StreamLimits, sealer: Sealer) -> None:
        self._limits = limits
        self._sealer = sealer
        self._collected = bytearray()

    def feed(self, data: bytes) -> Message | None:
        self._collected += data
        start = self._LENGTH_BYTES
        if len(self._collected) < start:
            return None
        length = int.from_bytes(self._collected[:start], "big")
        if length > self._limits.message_bytes + MAX_OVERHEAD_BYTES:
            raise WireError(f"an encrypted message of {length} bytes, the limit is {self._limits.message_bytes}")
        if len(self._collected) < start + length:
            return None
        content = self._sealer.open_stream(bytes(self._collected[start : start + length]))
        if content[:1] == bytes((MessageType.ENCRYPTED,)):
            raise WireError("an encrypted message holds another encrypted message")
        return _whole(content, self._limits)


def _whole(content: bytes, limits: StreamLimits) -> Message:
    """The message that a wrapper held, which must be complete. Raises `WireError`."""
    message = StreamDecoder(limits).feed(content)
    if message is None:
        raise WireError(f"the wrapped message is incomplete: {len(content)} bytes, more announced")
    return message


def _bounded(header: Fields, key: bytes, limit: int) -> int:
    """A count or length that a header announces. Go writes it as a signed number, so 64 bits are legal."""
    value = uint(header, key, 64)
    if value > limit:
        raise WireError(f"{key.decode()} announces {shown(value)}, the limit is {limit}")
    return value
