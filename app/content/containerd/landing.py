"""Which content that has landed is to be asked about, and when again (pure).

A blob's file is in place some milliseconds before containerd's own database knows of it, and its labels come later
still: Info says "not found" for 3 ms in the middle and 11 ms at most, as measured on 1.6 and 2.3 alike. So it is
asked again at growing intervals, and then given up: a file that stays unknown is another namespace's.
"""

import heapq

from app.key import Digest

_DELAYS_S = (0.001, 0.001, 0.002, 0.004, 0.008, 0.016, 0.03, 0.1, 0.5, 2.0)
_CAPACITY = 10_000  # layers of some hundred images at once; beyond it the next listing finds them


class Landings:
    """A schedule of questions. Reads no clock: `now` is the caller's, in seconds."""

    def __init__(self) -> None:
        self._tries: dict[Digest, int] = {}
        self._schedule: list[tuple[float, str, Digest]] = []  # the text orders equal times

    def __len__(self) -> int:
        return len(self._tries)

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._tries

    def add(self, digest: Digest, now: float) -> bool:
        """Ask about it soon; False if there is no room. Does nothing for one that is being asked about."""
        if digest in self._tries:
            return True
        if len(self._tries) >= _CAPACITY:
            return False
        self._tries[digest] = 0
        self._put(digest, now + _DELAYS_S[0])
        return True

    def due(self, now: float) -> Digest | None:
        """The next one to ask about now; then call `again` or `discard` for it."""
        while self._schedule and self._schedule[0][0] <= now:
            _, _, digest = heapq.heappop(self._schedule)
            if digest in self._tries:
                return digest
        return None

    def next_due(self) -> float | None:
        """When `due` has one again, None if it has none to come."""
        return self._schedule[0][0] if self._schedule else None

    def again(self, digest: Digest, now: float) -> None:
        """The answer was not the last word: ask once more, unless that was the last time."""
        if digest not in self._tries:
            return
        self._tries[digest] += 1
        if self._tries[digest] == len(_DELAYS_S):
            del self._tries[digest]
        else:
            self._put(digest, now + _DELAYS_S[self._tries[digest]])

    def discard(self, digest: Digest) -> None:
        """Nothing more is to be asked about it."""
        self._tries.pop(digest, None)

    def _put(self, digest: Digest, at: float) -> None:
        heapq.heappush(self._schedule, (at, digest.hex, digest))
