"""LZW as Go's `compress/lzw` with least-significant-bit-first order and 8-bit literals: memberlist's only compression.

Codes are 9 to 12 bits wide and begin anew at each CLEAR. Both sides number new entries from 258 and widen the
code as soon as the next entry's number needs it (no early change as in TIFF). The reader's table is one entry
behind the writer's: it learns the last byte of an entry only from the code that follows.
"""

from gossip.errors import WireError

_CLEAR = 256
_END = 257
_FIRST_WIDTH = 9
_MAX_WIDTH = 12
_MAX_ENTRIES = 1 << _MAX_WIDTH
#: Index = code. The two control codes hold places that are never read.
_INITIAL_TABLE = [bytes((literal,)) for literal in range(256)] + [b"", b""]


def decompress(data: bytes, limit_bytes: int) -> bytes:
    """The original bytes; never builds more than `limit_bytes` of them (plus one table entry).

    Raises `WireError` if the output would be longer, a code is impossible, or the end code is missing.
    Bytes behind the end code are ignored.
    """
    chunks: list[bytes] = []
    room = limit_bytes
    table, width, previous = _INITIAL_TABLE.copy(), _FIRST_WIDTH, b""
    bits = bit_count = 0
    for byte in data:
        bits |= byte << bit_count
        bit_count += 8
        if bit_count < width:  # a code is wider than a byte, so one byte never completes two
            continue
        code = bits & ((1 << width) - 1)
        bits >>= width
        bit_count -= width
        if code == _CLEAR:
            table, width, previous = _INITIAL_TABLE.copy(), _FIRST_WIDTH, b""
            continue
        if code == _END:
            return b"".join(chunks)
        entry = _entry(table, code, previous)
        room -= len(entry)
        if room < 0:
            raise WireError(f"compressed data grows beyond {limit_bytes} bytes")
        chunks.append(entry)
        if previous and len(table) < _MAX_ENTRIES:
            table.append(previous + entry[:1])
        previous = entry
        if len(table) >= 1 << width and width < _MAX_WIDTH:
            width += 1
    raise WireError("compressed data ends without an end code")


def _entry(table: list[bytes], code: int, previous: bytes) -> bytes:
    if code < len(table):
        return table[code]
    # The one code a writer may use before the reader can know it: the entry that it made just now,
    # which must then begin and end with the same byte.
    if code == len(table) and previous:
        return previous + previous[:1]
    raise WireError(f"compressed data uses code {code}, only {len(table)} are defined")


class _BitWriter:
    """Collects codes, least significant bit first."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._bits = 0
        self._bit_count = 0

    def write(self, code: int, width: int) -> None:
        self._bits |= code << self._bit_count
        self._bit_count += width
        while self._bit_count >= 8:
            self._out.append(self._bits & 0xFF)
            self._bits >>= 8
            self._bit_count -= 8

    def finish(self) -> bytes:
        if self._bit_count:
            self._out.append(self._bits)
        return bytes(self._out)


def compress(data: bytes) -> bytes:
    """`data` as Go's writer would compress it, byte for byte. Costs far more than it saves: not sent by default."""
    writer = _BitWriter()
    writer.write(_CLEAR, _FIRST_WIDTH)
    codes: dict[bytes, int] = {}
    width, newest = _FIRST_WIDTH, _END
    pending = b""  # what has been read but not yet written as a code
    for position in range(len(data) + 1):
        literal = data[position : position + 1]
        extended = pending + literal
        if literal and (len(extended) == 1 or extended in codes):
            pending = extended
            continue
        if not pending:
            break
        writer.write(codes[pending] if len(pending) > 1 else pending[0], width)
        newest += 1
        if newest == 1 << width:
            width += 1
        if newest == _MAX_ENTRIES - 1:
            # Go's writer clears one entry early, so that the reader never fills its table.
            writer.write(_CLEAR, width)
            codes.clear()
            width, newest = _FIRST_WIDTH, _END
        elif literal:
            codes[extended] = newest
        pending = literal
    writer.write(_END, width)
    return writer.finish()
