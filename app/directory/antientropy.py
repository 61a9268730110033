"""What mirrors ask each other to make their directories equal, and the bytes of it.

Two questions, each a POST of bytes answered by bytes:

- `compare`: here is the hash of my version vector. Answer: equal, or the other's vector.
- `filters`: send the filters newer than these versions, or everything that is. A joiner asks one member for everything.

Who asks decides what to take: nothing is pushed. Any member may give any origin's filter, it is taken if it is newer.
All lists are zlib streams and read within bounds, so that a small body can't become a large memory.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

from app.directory.bloom import Bloom
from app.directory.delta import Origin
from app.directory.errors import DirectoryError, UnknownVersion
from app.directory.replica import Snapshot, Version

#: Largest request, and largest answer, in bytes as sent. What does not fit into an answer comes with the next one.
MAX_REQUEST_BYTES = 1 << 20
MAX_ANSWER_BYTES = 16 << 20

_VERSION = 1
_MAX_VECTOR_BYTES = 2 << 20  # 131,072 members
_MAX_FILTERS_BYTES = 128 << 20  # never in memory at once
_PIECE = 1 << 16
_COMPRESSION_LEVEL = 1  # filters at their best fill are noise: more effort gains nothing

_HEAD = struct.Struct(">BB")  # version, flag
_COMPARE = struct.Struct(">B8s")
_ENTRY = struct.Struct(">8sII")  # origin, epoch, revision
_FILTER = struct.Struct(">8sIIIH")  # origin, epoch, revision, sequence, length of the filter that follows


class What(Enum):
    """The questions; the value is the path's last word."""

    COMPARE = "compare"
    FILTERS = "filters"


Vector = Mapping[Origin, Version]


def vector_hash(vector: Vector) -> bytes:
    """8 bytes that are equal for equal vectors, in whatever order they are."""
    entries = (_ENTRY.pack(origin, *_fields(version)) for origin, version in sorted(vector.items()))
    return hashlib.sha256(b"".join(entries)).digest()[:8]


def encode_compare(vector: Vector) -> bytes:
    """The request of `compare`."""
    return _COMPARE.pack(_VERSION, vector_hash(vector))


def answer_compare(body: bytes, vector: Vector) -> bytes:
    """The answer to `compare` of a node with this vector. Raises `DirectoryError`."""
    _check_version(body)
    if len(body) != _COMPARE.size:
        raise DirectoryError(f"a comparison of {len(body)} bytes is refused: it has {_COMPARE.size}")
    equal = _COMPARE.unpack(body)[1] == vector_hash(vector)
    return _HEAD.pack(_VERSION, equal) + (b"" if equal else _encode_vector(vector))


def decode_comparison(answer: bytes) -> dict[Origin, Version] | None:
    """The other's vector, None if it is equal to ours. Raises `DirectoryError`."""
    equal, rest = _split_head(answer)
    if equal and rest:
        raise DirectoryError(f"{len(rest)} bytes follow the word that all is equal")
    return None if equal else _decode_vector(rest)


def encode_wanted(known: Vector, everything: bool) -> bytes:
    """The request of `filters`: those newer than `known`, and if `everything` also those not named there."""
    return _HEAD.pack(_VERSION, everything) + _encode_vector(known)


def answer_filters(body: bytes, vector: Vector, snapshot: Callable[[Origin], Snapshot | None]) -> Iterator[bytes]:
    """The answer to `filters` in pieces, to be joined; other work may be done between two pieces.

    Raises `DirectoryError` before the first piece if the request is not understood.
    """
    everything, rest = _split_head(body)
    known = _decode_vector(rest)
    wanted = [o for o, v in vector.items() if v > known.get(o, Version() if everything else v)]
    return _encode_filters(filter(None, map(snapshot, wanted)))


def decode_filters(answer: bytes) -> Iterator[Snapshot | UnknownVersion]:
    """The filters one by one, an error value for each in a form that is not ours.

    Raises `DirectoryError` where the bytes are not to be understood; what came before it is good.
    """
    _check_version(answer)
    buffer = bytearray()
    for piece in _inflate(answer[1:], _MAX_FILTERS_BYTES):
        buffer += piece
        at = 0
        while len(buffer) - at >= _FILTER.size:
            end = at + _FILTER.size + _FILTER.unpack_from(buffer, at)[4]
            if len(buffer) < end:
                break
            yield _decode_filter(bytes(buffer[at:end]))
            at = end
        del buffer[:at]
    if buffer:
        raise DirectoryError(f"the last filter ends after {len(buffer)} bytes")


def _fields(version: Version) -> tuple[int, int]:
    return version.epoch, version.revision


def _check_version(data: bytes) -> None:
    if not data:
        raise DirectoryError("an empty body is no message")
    if data[0] != _VERSION:
        raise UnknownVersion(f"message version {data[0]} is not ours ({_VERSION})")


def _split_head(data: bytes) -> tuple[bool, bytes]:
    _check_version(data)
    if len(data) < _HEAD.size or data[1] > 1:
        raise DirectoryError("a message without its flag")
    return bool(data[1]), data[_HEAD.size :]


def _encode_vector(vector: Vector) -> bytes:
    entries = (_ENTRY.pack(origin, *_fields(version)) for origin, version in vector.items())
    return zlib.compress(b"".join(entries), _COMPRESSION_LEVEL)


def _decode_vector(data: bytes) -> dict[Origin, Version]:
    entries = b"".join(_inflate(data, _MAX_VECTOR_BYTES))
    if len(entries) % _ENTRY.size:
        raise DirectoryError(f"a vector of {len(entries)} bytes is no whole number of entries")
    return {origin: Version(epoch, revision) for origin, epoch, revision in _ENTRY.iter_unpack(entries)}


def _encode_filters(snapshots: Iterator[Snapshot]) -> Iterator[bytes]:
    packer = zlib.compressobj(_COMPRESSION_LEVEL)
    room = MAX_ANSWER_BYTES - 1 - 4 * _PIECE  # what the packer may still hold back when the last filter was put in
    yield bytes([_VERSION])
    for snapshot in snapshots:
        filter_ = snapshot.filter.encode()
        head = _FILTER.pack(snapshot.origin, *_fields(snapshot.version), snapshot.sequence, len(filter_))
        packed = packer.compress(head + filter_)
        room -= len(packed)
        yield packed
        if room < 0:
            break
    yield packer.flush()


def _decode_filter(data: bytes) -> Snapshot | UnknownVersion:
    origin, epoch, revision, sequence, _ = _FILTER.unpack_from(data)
    if not epoch:
        raise DirectoryError(f"filter {origin.hex()} has epoch 0, which no node uses")
    try:
        return Snapshot(origin, Version(epoch, revision), sequence, Bloom.decode(data[_FILTER.size :]))
    except UnknownVersion as error:
        return error


def _inflate(data: bytes, limit: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    total = 0
    for at in range(0, len(data), _PIECE):
        packed = data[at : at + _PIECE]
        while packed and not unpacker.eof:
            try:
                piece = unpacker.decompress(packed, _PIECE)
            except zlib.error as error:
                raise DirectoryError(f"the list is no zlib stream: {error}") from None
            packed = unpacker.unconsumed_tail
            total += len(piece)
            if total > limit:
                raise DirectoryError(f"the list is longer than {limit} bytes")
            yield piece
        if unpacker.unused_data or (unpacker.eof and at + _PIECE < len(data)):
            raise DirectoryError("bytes follow the end of the list")
    if not unpacker.eof:
        raise DirectoryError("the list is cut off")
