"""What wraps messages in a datagram: compound, compression and CRC, in wire order.

From the outside in, a datagram is: label, encryption, CRC, compression, compound, message. The label is not spoken
yet; when it is, it belongs at the outer end of this file: `unpack` takes it off first, `pack` puts it on last.
Compressed and compound messages may hold one another.

We send neither compression nor CRC: every receiver takes a packet without them, and compressing costs more
processor time than all the rest of the engine together. Source: memberlist `net.go`, `util.go`.
"""

import struct
import zlib
from collections.abc import Sequence

from gossip.errors import UsageError, WireError
from gossip.wire import lzw
from gossip.wire.codec import MessageType
from gossip.wire.fields import raw, uint, unpack_fields
from gossip.wire.sealing import Sealer

#: The count of a compound is one byte, the length of each member two.
MAX_COMPOUND = 255
_MAX_MEMBER_BYTES = 0xFFFF

#: A datagram is filled before it is compressed, so its content was never larger than a datagram can be.
_MAX_INFLATED_BYTES = 1 << 16
#: A sender nests two (compressed, then compound). Deeper is nobody's.
_MAX_DEPTH = 4

_LZW = 0


def pack(messages: Sequence[bytes], sealer: Sealer | None = None) -> bytes:
    """One datagram of encoded messages: bare if it is one, else a compound; in an envelope of `sealer`'s, if any.

    Raises `UsageError` on none, on more than 255, and on one over 65,535 bytes among several.
    """
    plain = messages[0] if len(messages) == 1 else _compound(messages)
    return plain if sealer is None else sealer.seal(plain)


def _compound(messages: Sequence[bytes]) -> bytes:
    if not 0 < len(messages) <= MAX_COMPOUND:
        raise UsageError(f"a datagram carries 1 to {MAX_COMPOUND} messages, not {len(messages)}")
    longest = max(len(message) for message in messages)
    if longest > _MAX_MEMBER_BYTES:
        raise UsageError(f"a message of {longest} bytes does not fit into a compound ({_MAX_MEMBER_BYTES})")
    head = struct.pack(f">BB{len(messages)}H", MessageType.COMPOUND, len(messages), *map(len, messages))
    return head + b"".join(messages)


def unpack(data: bytes, sealer: Sealer | None = None) -> list[bytes]:
    """The messages in a datagram, in order, each with its type byte, none of them a wrapper.

    With a `sealer` only what it opens is taken. A compound that was cut short gives its complete members. Raises
    `WireError` on an envelope that does not open, on a wrong CRC, on compressed data that is broken or over 64 KiB in
    all, and on wrappers nested too deep.
    """
    if sealer is not None:
        data = sealer.open(data)
    if data[:1] == bytes((MessageType.CRC,)):
        data = _checked(data)
    peeler = _Peeler()
    peeler.peel(data, _MAX_DEPTH)
    return peeler.messages


def inflate(body: bytes | memoryview, limit_bytes: int) -> bytes:
    """The message in a compressed one; `body` is what follows the type byte. Raises `WireError`."""
    fields = unpack_fields(body)
    return inflate_buffer(uint(fields, b"Algo", 8), raw(fields, b"Buf"), limit_bytes)


def inflate_buffer(algorithm: int, buffer: bytes, limit_bytes: int) -> bytes:
    """`buffer` decompressed by the wire's number of an algorithm; there is one, LZW. Raises `WireError`."""
    if algorithm != _LZW:
        raise WireError(f"compression algorithm {algorithm} is unknown, only {_LZW} (LZW) exists")
    return lzw.decompress(buffer, limit_bytes)


def _checked(data: bytes) -> bytes:
    if len(data) < 5:
        raise WireError(f"a message with CRC has at least 5 bytes, this one {len(data)}")
    (expected,) = struct.unpack_from(">I", data, 1)
    content = data[5:]
    actual = zlib.crc32(content)
    if actual != expected:
        raise WireError(f"CRC is {actual:08x}, the sender computed {expected:08x}")
    return content


class _Peeler:
    """Takes wrappers off, under one budget for all compressed parts of a datagram together."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._inflatable_bytes = _MAX_INFLATED_BYTES

    def peel(self, data: bytes, depth: int) -> None:
        if not data:
            return  # an empty member says nothing
        kind = data[0]
        if kind not in (MessageType.COMPRESSED, MessageType.COMPOUND):
            self.messages.append(data)
            return
        if depth == 0:
            raise WireError(f"compressed and compound messages are nested more than {_MAX_DEPTH} deep")
        if kind == MessageType.COMPRESSED:
            content = inflate(memoryview(data)[1:], self._inflatable_bytes)
            self._inflatable_bytes -= len(content)
            self.peel(content, depth - 1)
        else:
            for member in _members(data):
                self.peel(member, depth - 1)


def _members(data: bytes) -> list[bytes]:
    count = data[1] if len(data) > 1 else 0
    start = 2 + 2 * count
    if len(data) < start:
        raise WireError(f"a compound of {count} messages needs {start} bytes before the first, it has {len(data)}")
    members = []
    for (length,) in struct.iter_unpack(">H", data[2:start]):
        if start + length > len(data):
            break  # cut short on the way
        members.append(data[start : start + length])
        start += length
    return members
