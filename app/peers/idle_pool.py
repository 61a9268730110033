"""Which idle connections are kept, for how long, and which go. Pure: it decides and returns what to close.

Bounded per peer and in all; the longest idle go first. A connection is dropped well before the server at its other
end would close it, so that a request seldom meets a dead one.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Generic, TypeVar

C = TypeVar("C")


class IdlePool(Generic[C]):
    """Idle connections by peer. What a method returns is the caller's: to use, or to close."""

    def __init__(self, *, per_peer: int, in_all: int, idle_s: float) -> None:
        self._per_peer = per_peer
        self._in_all = in_all
        self._idle_s = idle_s
        self._by_peer: dict[str, deque[C]] = {}
        #: Every connection with its peer and the time it came, the longest idle first.
        self._since: OrderedDict[int, tuple[C, str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def take(self, peer: str, now: float) -> C | None:
        """The connection of this peer that was used last, None if there is no fresh one."""
        line = self._by_peer.get(peer)
        if not line or now - self._since[id(line[-1])][2] >= self._idle_s:
            return None
        connection = line[-1]
        self._remove(connection)
        return connection

    def put(self, peer: str, connection: C, now: float) -> list[C]:
        """Keep this one. Returns what no longer has room."""
        surplus = []
        line = self._by_peer.get(peer)
        if line is not None and len(line) >= self._per_peer:
            surplus.append(line[0])
        elif len(self._since) >= self._in_all:
            surplus.append(next(iter(self._since.values()))[0])
        for each in surplus:
            self._remove(each)
        self._by_peer.setdefault(peer, deque()).append(connection)
        self._since[id(connection)] = (connection, peer, now)
        return surplus

    def expire(self, now: float) -> list[C]:
        """Take out all that have been idle for `idle_s`."""
        old = []
        for connection, _, since in self._since.values():
            if now - since < self._idle_s:
                break
            old.append(connection)
        for each in old:
            self._remove(each)
        return old

    def next_expiry(self) -> float | None:
        """When the longest idle one is due, on the caller's clock; None if there is none."""
        oldest = next(iter(self._since.values()), None)
        return None if oldest is None else oldest[2] + self._idle_s

    def forget(self, peer: str) -> list[C]:
        """Take out all of this peer."""
        gone = list(self._by_peer.get(peer, ()))
        for each in gone:
            self._remove(each)
        return gone

    def clear(self) -> Iterable[C]:
        """Take out all."""
        everything = [connection for connection, _, _ in self._since.values()]
        self._since.clear()
        self._by_peer.clear()
        return everything

    def _remove(self, connection: C) -> None:
        _, peer, _ = self._since.pop(id(connection))
        line = self._by_peer[peer]
        # At either end in all but odd cases; lines hold `per_peer` at most.
        line.remove(connection)
        if not line:
            del self._by_peer[peer]
