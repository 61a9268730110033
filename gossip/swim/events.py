"""Lamport time and the window of recent broadcasts: what is new, what was heard before, what is too old to tell.

Serf `lamport.go`, `serf.go` (`handleUserEvent`, `handleQuery`): a slot per Lamport time modulo the window's size. A
broadcast older than the window is dropped, since it can't be told from a repetition.
"""

from hashlib import blake2b

from gossip.swim.settings import MAX_LAMPORT_JUMP

#: Broadcasts remembered at most, over all slots; a fingerprint takes some 100 bytes of memory.
REMEMBERED_LIMIT = 65_536


class LamportClock:
    """Counts events. `time` is what the next event is stamped with; the first is 1."""

    __slots__ = ("time",)

    def __init__(self) -> None:
        self.time = 1

    def stamp(self) -> int:
        """The time of an event of our own."""
        stamped = self.time
        self.time += 1
        return stamped

    def witness(self, seen: int) -> bool:
        """Move beyond a time seen at another node; False for one too far ahead to be true, which changes nothing."""
        if seen >= self.time + MAX_LAMPORT_JUMP:
            return False
        self.time = max(self.time, seen + 1)
        return True


class EventWindow:
    """Tells repetitions from news, with bounded memory.

    Many broadcasts may share one Lamport time (nodes that speak at the same moment). If a flood fills the memory,
    the oldest slot is forgotten and what is as old counts as too old from then on: the window gets shorter, but never
    takes a repetition for news.
    """

    def __init__(self, slots: int) -> None:
        self._slots: list[tuple[int, dict[bytes, None]] | None] = [None] * slots
        self._remembered = 0
        #: Broadcasts before this time are ignored.
        self.floor = 0

    def is_new(self, ltime: int, content: bytes, clock: LamportClock) -> bool:
        """Whether this is heard for the first time; remembers it. `clock` has witnessed `ltime`."""
        size = len(self._slots)
        if ltime < self.floor or (clock.time > size and ltime < clock.time - size):
            return False
        fingerprint = blake2b(content, digest_size=16).digest()
        index = ltime % size
        slot = self._slots[index]
        if slot is None or slot[0] != ltime:
            if slot is not None:
                self._remembered -= len(slot[1])
            slot = self._slots[index] = (ltime, {})
        if fingerprint in slot[1]:
            return False
        slot[1][fingerprint] = None
        self._remembered += 1
        if self._remembered > REMEMBERED_LIMIT:
            self._forget_oldest()
        return True

    def _forget_oldest(self) -> None:
        oldest = min((slot for slot in self._slots if slot is not None), key=lambda slot: slot[0])
        self._slots[oldest[0] % len(self._slots)] = None
        self._remembered -= len(oldest[1])
        self.floor = max(self.floor, oldest[0] + 1)
