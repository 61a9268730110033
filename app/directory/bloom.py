"""A Bloom filter of fingerprints: 2^m bits, eleven positions a key, and the rule for its size.

A fingerprint is the first 8 bytes of a SHA-256, hence uniform already: its two halves are the start and the step of
enhanced double hashing (Dillinger and Manolios, "Bloom Filters in Probabilistic Verification", 2004, §5.2), and
no content is hashed again. All sizes are powers of two and the arithmetic is modular, so the positions
in a smaller filter are those of the largest one, masked: a lookup computes them once for all size classes.
"""

import math
import struct
from collections.abc import Iterable
from typing import Self

from app.directory.errors import DirectoryError, UnknownVersion

#: Positions per key. Optimal for 16 bits a key (16 ln 2 = 11.1), 15 % off the best false positive rate at 20.
HASHES = 11
#: The size classes, as log2 of the bits: 2 KiB to 32 KiB. Few, since a lookup visits each class that is in use.
MIN_LOG2 = 14
MAX_LOG2 = 18

_VERSION = 1
_HEADER = struct.Struct(">BBB")  # version, log2 of the bits, positions per key
_MASK = (1 << MAX_LOG2) - 1


def positions(fingerprint: int) -> list[int]:
    """The bit positions of a 64-bit fingerprint in the largest filter; mask them for a smaller one."""
    at = fingerprint & 0xFFFFFFFF
    step = fingerprint >> 32
    found = []
    for i in range(HASHES):
        found.append(at & _MASK)
        at += step
        step += i + 1  # the "enhanced" part: keys whose start and step agree modulo 2^m would collide in all positions
    return found


def log2_for(keys: int, members: int) -> int:
    """The size class for so many keys in a cluster of so many members.

    At least 16 bits a key, and 20 above 500 members, because false candidates per lookup grow with the number of
    filters; the largest class is used beyond its capacity too, at fewer bits a key.
    """
    bits = keys * (16 if members <= 500 else 20)
    return min(max(MIN_LOG2, math.ceil(math.log2(max(bits, 1)))), MAX_LOG2)


class Bloom:
    """The filter. Bit `p` is bit `p % 8` of byte `p // 8`."""

    __slots__ = ("bits", "log2")

    def __init__(self, log2: int) -> None:
        if not MIN_LOG2 <= log2 <= MAX_LOG2:
            raise UnknownVersion(f"a filter of 2^{log2} bits is refused: sizes are 2^{MIN_LOG2} to 2^{MAX_LOG2}")
        self.log2 = log2
        self.bits = bytearray(1 << (log2 - 3))

    @classmethod
    def of(cls, fingerprints: Iterable[int], log2: int) -> Self:
        """A new filter with these keys."""
        bloom = cls(log2)
        for fingerprint in fingerprints:
            bloom.add(fingerprint)
        return bloom

    def add(self, fingerprint: int) -> None:
        mask = (1 << self.log2) - 1
        bits = self.bits
        for position in positions(fingerprint):
            at = position & mask
            bits[at >> 3] |= 1 << (at & 7)

    def __contains__(self, fingerprint: int) -> bool:
        mask = (1 << self.log2) - 1
        return all(self.bits[(at & mask) >> 3] >> (at & 7) & 1 for at in positions(fingerprint))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bloom) and self.bits == other.bits

    __hash__ = None  # type: ignore[assignment]  # mutable

    def merge(self, other: Self) -> None:
        """Add all keys of a filter of the same size."""
        if other.log2 != self.log2:
            raise DirectoryError(f"a filter of 2^{other.log2} bits can't be merged into one of 2^{self.log2}")
        both = int.from_bytes(self.bits, "little") | int.from_bytes(other.bits, "little")
        self.bits = bytearray(both.to_bytes(len(self.bits), "little"))

    def estimated_keys(self) -> int:
        """How many keys are in it, from the share of bits that are set (Swamidass and Baldi, 2007)."""
        size = 1 << self.log2
        ones = int.from_bytes(self.bits, "little").bit_count()
        return round(-size / HASHES * math.log1p(-min(ones, size - 1) / size))

    def encode(self) -> bytes:
        """Version, log2 of the bits, positions per key (a byte each), then the bits."""
        return _HEADER.pack(_VERSION, self.log2, HASHES) + self.bits

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `UnknownVersion` for parameters of another release, `DirectoryError` for a wrong length."""
        if len(data) < _HEADER.size:
            raise DirectoryError(f"a filter of {len(data)} bytes is shorter than its header")
        version, log2, hashes = _HEADER.unpack_from(data)
        if version != _VERSION or hashes != HASHES:
            raise UnknownVersion(f"filter version {version} with {hashes} positions a key is not ours")
        bloom = cls(log2)
        if len(data) - _HEADER.size != len(bloom.bits):
            raise DirectoryError(f"a filter of 2^{log2} bits came with {len(data) - _HEADER.size} bytes")
        bloom.bits[:] = data[_HEADER.size :]
        return bloom
