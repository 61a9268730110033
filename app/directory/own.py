"""The own filter: which keys are in it, where it is in its history, and when it must be told or built anew.

Pure: reads no clock. Additions go into the filter at once. A Bloom filter can't forget, so a removed key stays in it
until it is rebuilt under a new epoch, a while after the last removal: images are removed in bursts, and until then
a HEAD is answered by 404.
"""

import random

from app.directory import bloom
from app.directory.bloom import Bloom
from app.directory.delta import Delta, Origin

#: Quiet time after the last removal before the filter is rebuilt, seconds.
REBUILD_DELAY_S = 5.0
#: Shortest time between two rebuilds because of removals, and longest wait of a removal that others follow, seconds.
REBUILD_INTERVAL_S = 60.0
#: Others drop a filter that they have not heard of for `directory.TTL_S` (600 s): say something before that.
REFRESH_S = 540.0


class OwnFilter:
    """The filter of this node.

    `epoch` names a generation of the filter, and the first one must be above all that the same member name ever used:
    the start time in seconds will do, since rebuilds are rarer than seconds. `revision` counts the keys
    that were added in all, `sequence` the broadcasts of this epoch.
    """

    def __init__(self, origin: Origin, first_epoch: int, rng: random.Random) -> None:
        self.origin = origin
        self.epoch = first_epoch
        self.revision = 0
        self.sequence = 0
        self.filter = Bloom(bloom.MIN_LOG2)
        self._rng = rng
        self._keys: dict[int, None] = {}
        self._forgotten: set[int] = set()  # removed, but still in the filter
        self._first_removal = self._last_removal = 0.0
        self._rebuilt_at = float("-inf")
        self._refresh_at = float("inf")

    def __contains__(self, fingerprint: int) -> bool:
        return fingerprint in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, fingerprint: int) -> bool:
        """True if the filter changed: the key then has the number `revision`, and others are to be told."""
        if fingerprint in self._keys:
            return False
        self._keys[fingerprint] = None
        if fingerprint in self._forgotten:
            self._forgotten.discard(fingerprint)  # it never left the filter
            return False
        self.filter.add(fingerprint)
        self.revision += 1
        return True

    def remove(self, fingerprint: int, now: float) -> None:
        """Forget a key; a key that is not there is no error."""
        if fingerprint not in self._keys:
            return
        del self._keys[fingerprint]
        if not self._forgotten:
            self._first_removal = now
        self._forgotten.add(fingerprint)
        self._last_removal = now

    def rebuild_at(self) -> float | None:
        """When the filter should be rebuilt because of removals; None if nothing was removed."""
        if not self._forgotten:
            return None
        quiet = min(self._last_removal + REBUILD_DELAY_S, self._first_removal + REBUILD_INTERVAL_S)
        return max(quiet, self._rebuilt_at + REBUILD_INTERVAL_S)

    def outgrown(self, members: int) -> bool:
        """Whether the filter has become too small for its keys in a cluster of so many members."""
        return bloom.log2_for(len(self._keys) + len(self._forgotten), members) > self.filter.log2

    def rebuild(self, members: int, now: float) -> None:
        """Build the filter of the present keys, in the size that fits, under a new epoch. Tell others by `announce`."""
        if self._forgotten:
            self._rebuilt_at = now
        self._forgotten.clear()
        self.filter = Bloom.of(self._keys, bloom.log2_for(len(self._keys), members))
        self.new_epoch()

    def new_epoch(self) -> None:
        """Make everybody fetch the whole filter: for more changes than deltas can tell."""
        self.epoch += 1
        self.sequence = 0

    def broadcast(self, keys: tuple[int, ...], since: int, revision: int, now: float) -> Delta:
        """The next delta of this epoch."""
        self.sequence += 1
        self._refresh_at = now + REFRESH_S * self._rng.uniform(0.95, 1.0)
        return Delta(self.origin, self.epoch, self.sequence, revision, since, keys)

    def announce(self, now: float) -> Delta:
        """A delta without keys that only names the new epoch: it claims nothing."""
        return self.broadcast((), self.revision, self.revision, now)

    def refresh(self, now: float) -> Delta:
        """A sign of life.

        It counts as a change, so that anti-entropy carries it to those who miss the broadcast.
        """
        self.revision += 1
        return self.broadcast((), self.revision - 1, self.revision, now)

    def refresh_at(self) -> float:
        """When `refresh` is due."""
        return self._refresh_at

    def start(self, now: float) -> None:
        """Let the time until the first refresh begin. All nodes of a cluster may start at once: spread them."""
        self._refresh_at = now + REFRESH_S * self._rng.uniform(0.5, 1.0)
