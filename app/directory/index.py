"""Which of many filters hold a key, all at once: a bit-sliced index.

The filters of one size are the columns of a bit matrix: row `p` has bit `p` of every filter, one bit per filter.
A lookup reads the eleven rows of a key and ANDs them as big integers with the mask of those that count; what is
left are the candidates, and its population count says how many. That costs microseconds however
many filters there are (bit-sliced signatures: Goodwin et al., "BitFunnel", 2017).

The matrix is one bytearray, so that eight columns can be cut out and put back by an extended slice: a
whole filter goes in or out in a fraction of a millisecond, without a loop over its bits.
"""

import heapq
from typing import Generic, TypeVar

from app.directory import bloom
from app.directory.bloom import Bloom

K = TypeVar("K")

_FIRST_STRIDE = 8  # bytes per row: 64 filters before the matrix grows for the first time


def _table(values: dict[int, int], default: int = 0) -> bytes:
    return bytes(values.get(byte, default) for byte in range(256))


# Byte translations by bit number: clear the bit; its value as "0" or "1"; "0" or "1" as the bit.
_CLEAR = [bytes(byte & ~(1 << bit) & 0xFF for byte in range(256)) for bit in range(8)]
_TO_DIGIT = [bytes(0x31 if byte >> bit & 1 else 0x30 for byte in range(256)) for bit in range(8)]
_FROM_DIGIT = [_table({0x31: 1 << bit}) for bit in range(8)]


class SlicedFilters:
    """The filters of one size. Slots are given out densely and used again."""

    def __init__(self, log2: int) -> None:
        self.log2 = log2
        self.live = 0  # mask of the slots that lookups may find
        self._rows = 1 << log2
        self._stride = _FIRST_STRIDE
        self._matrix = bytearray(self._rows * self._stride)
        self._used = 0  # slots ever given out
        self._free: list[int] = []

    def __len__(self) -> int:
        return self._used - len(self._free)

    def take_slot(self) -> int:
        """A slot that is not live; what an earlier owner left in it counts from `put` on no more."""
        if self._free:
            return heapq.heappop(self._free)
        if self._used == self._stride * 8:
            self._grow()
        self._used += 1
        return self._used - 1

    def free_slot(self, slot: int) -> None:
        """Give the slot back."""
        self.set_live(slot, False)
        heapq.heappush(self._free, slot)

    def set_live(self, slot: int, live: bool) -> None:
        self.live = self.live | 1 << slot if live else self.live & ~(1 << slot)

    def put(self, slot: int, filter_: Bloom) -> None:
        """Replace a slot's filter."""
        byte, bit = divmod(slot, 8)
        column = slice(byte, None, self._stride)
        digits = format(int.from_bytes(filter_.bits, "little"), f"0{self._rows}b")[::-1]
        mine = int.from_bytes(digits.encode().translate(_FROM_DIGIT[bit]), "little")
        others = int.from_bytes(self._matrix[column].translate(_CLEAR[bit]), "little")
        self._matrix[column] = (mine | others).to_bytes(self._rows, "little")

    def get(self, slot: int) -> Bloom:
        """A copy of a slot's filter."""
        byte, bit = divmod(slot, 8)
        digits = self._matrix[byte :: self._stride].translate(_TO_DIGIT[bit])[::-1]
        filter_ = Bloom(self.log2)
        filter_.bits[:] = int(digits, 2).to_bytes(self._rows // 8, "little")
        return filter_

    def add(self, slot: int, positions: list[int]) -> bool:
        """Add one key to a slot's filter; True if that changed it."""
        byte, bit = divmod(slot, 8)
        mask, one, stride, matrix = self._rows - 1, 1 << bit, self._stride, self._matrix
        changed = False
        for position in positions:
            at = (position & mask) * stride + byte
            if not matrix[at] & one:
                matrix[at] |= one
                changed = True
        return changed

    def match(self, positions: list[int]) -> int:
        """Mask of the live slots whose filters have all these bits."""
        mask, stride, matrix = self._rows - 1, self._stride, self._matrix
        found = self.live
        for position in positions:
            if not found:
                break
            at = (position & mask) * stride
            found &= int.from_bytes(matrix[at : at + stride], "little")
        return found

    def _grow(self) -> None:
        # row by row, not column by column: its cost does not depend on how many filters there are
        old, stride, pad = self._matrix, self._stride, bytes(self._stride)
        self._matrix = bytearray().join(
            part for at in range(0, len(old), stride) for part in (old[at : at + stride], pad)
        )
        self._stride = 2 * stride


class FilterIndex(Generic[K]):
    """Filters of all sizes by their owner. An owner has one filter, of any size, and is live or not."""

    def __init__(self) -> None:
        self._classes: dict[int, tuple[SlicedFilters, dict[int, K]]] = {}
        self._slots: dict[K, tuple[SlicedFilters, int]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, owner: K) -> bool:
        return owner in self._slots

    def put(self, owner: K, filter_: Bloom, live: bool) -> None:
        """Set the owner's filter, in place of any other."""
        place = self._slots.get(owner)
        if place is not None and place[0].log2 != filter_.log2:
            self.remove(owner)
            place = None
        if place is None:
            place = self._take_slot(owner, filter_.log2)
        filters, slot = place
        filters.put(slot, filter_)
        filters.set_live(slot, live)

    def get(self, owner: K) -> Bloom:
        """A copy of the owner's filter. Raises `KeyError`."""
        filters, slot = self._slots[owner]
        return filters.get(slot)

    def add(self, owner: K, fingerprint: int) -> bool:
        """Add one key to the owner's filter; True if that changed it. Raises `KeyError`."""
        filters, slot = self._slots[owner]
        return filters.add(slot, bloom.positions(fingerprint))

    def set_live(self, owner: K, live: bool) -> None:
        """Let lookups find the owner, or not. Raises `KeyError`."""
        filters, slot = self._slots[owner]
        filters.set_live(slot, live)

    def remove(self, owner: K) -> None:
        """Forget the owner; one that isn't there is no error."""
        place = self._slots.pop(owner, None)
        if place is None:
            return
        filters, slot = place
        owners = self._classes[filters.log2][1]
        del owners[slot]
        if owners:
            filters.free_slot(slot)
        else:
            del self._classes[filters.log2]

    def match(self, fingerprint: int) -> list[K]:
        """The live owners whose filters may have the key, in no order that means anything."""
        positions = bloom.positions(fingerprint)
        found: list[K] = []
        for filters, owners in self._classes.values():
            mask = filters.match(positions)
            digits = bin(mask)[:1:-1] if mask else ""
            slot = digits.find("1")
            while slot >= 0:
                found.append(owners[slot])
                slot = digits.find("1", slot + 1)
        return found

    def count(self, fingerprint: int) -> int:
        """How many `match` would return."""
        positions = bloom.positions(fingerprint)
        return sum(filters.match(positions).bit_count() for filters, _ in self._classes.values())

    def _take_slot(self, owner: K, log2: int) -> tuple[SlicedFilters, int]:
        if log2 not in self._classes:
            self._classes[log2] = SlicedFilters(log2), {}
        filters, owners = self._classes[log2]
        slot = filters.take_slot()
        owners[slot] = owner
        self._slots[owner] = filters, slot
        return filters, slot
