"""What still has to be told: a queue that hands out each message a limited number of times.

Fewest transmits first, so that fresh news overtakes old; within that the largest that still fits, newest first
(memberlist `queue.go`). Kept as one sorted list per transmit count, so that filling a packet costs a few binary
searches however much is queued.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from itertools import count


class _Entry:
    __slots__ = ("data", "on_done", "serial", "subject")

    def __init__(self, data: bytes, serial: int, subject: str | None, on_done: Callable[[], None] | None) -> None:
        self.data = data
        self.serial = serial
        self.subject = subject
        self.on_done = on_done

    def key(self) -> tuple[int, int]:
        return (len(self.data), self.serial)


class BroadcastQueue:
    """Encoded messages with their transmit counts; at most `limit` of them."""

    def __init__(self, limit: int, largest_bytes: int) -> None:
        """`largest_bytes` is the size of the largest message that fits into an empty packet."""
        self._limit = limit
        self._largest_bytes = largest_bytes
        self._tiers: list[list[tuple[int, int, _Entry]]] = [[]]  # index: transmits so far; sorted by (size, serial)
        self._by_subject: dict[str, tuple[int, _Entry]] = {}  # subject -> (tier, entry)
        self._serial = count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, data: bytes, subject: str | None = None, on_done: Callable[[], None] | None = None) -> bool:
        """Queue `data`; False if it is too large for any packet (it would stay in the queue for ever).

        A message replaces the one with the same `subject`. `on_done` is called once: when the message has been
        transmitted as often as it should, was replaced, or was dropped because the queue is full.
        """
        if len(data) > self._largest_bytes:
            return False
        entry = _Entry(data, next(self._serial), subject, on_done)
        if subject is not None and subject in self._by_subject:
            self._finish(self._remove(*self._by_subject[subject]))
        if self._length >= self._limit:
            self._drop_one()
        self._insert(0, entry)
        return True

    def take(self, budget_bytes: int, overhead_bytes: int, transmit_limit: int, most: int) -> list[bytes]:
        """At most `most` messages for one packet, each costing its size + `overhead_bytes`; a taking is a transmit."""
        taken: list[tuple[int, _Entry]] = []
        for transmits, tier in enumerate(self._tiers):
            while tier and budget_bytes > overhead_bytes and len(taken) < most:
                index = bisect_left(tier, (budget_bytes - overhead_bytes + 1,)) - 1
                if index < 0:
                    break
                size, _, entry = tier.pop(index)
                budget_bytes -= size + overhead_bytes
                taken.append((transmits + 1, entry))
        self._length -= len(taken)
        for transmits, entry in taken:
            if transmits < transmit_limit:
                self._insert(transmits, entry)
            else:
                if entry.subject is not None:
                    del self._by_subject[entry.subject]
                self._finish(entry)
        return [entry.data for _, entry in taken]

    def _insert(self, transmits: int, entry: _Entry) -> None:
        while len(self._tiers) <= transmits:
            self._tiers.append([])
        insort(self._tiers[transmits], (*entry.key(), entry))
        if entry.subject is not None:
            self._by_subject[entry.subject] = (transmits, entry)
        self._length += 1

    def _remove(self, transmits: int, entry: _Entry) -> _Entry:
        tier = self._tiers[transmits]
        del tier[bisect_left(tier, entry.key())]
        if entry.subject is not None:
            del self._by_subject[entry.subject]
        self._length -= 1
        return entry

    def _drop_one(self) -> None:
        """Drop the message told most often, the smallest of them."""
        for transmits in range(len(self._tiers) - 1, -1, -1):
            if self._tiers[transmits]:
                self._finish(self._remove(transmits, self._tiers[transmits][0][2]))
                return

    @staticmethod
    def _finish(entry: _Entry) -> None:
        if entry.on_done is not None:
            entry.on_done()
