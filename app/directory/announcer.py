"""How the own filter is told to others: which broadcasts leave now, and when the next one may.

Chooses between the ways: deltas of single keys in batches, a new epoch (everybody fetches the whole filter) when keys
were removed, the filter has become too small, or too many came at once, and a sign of life. Pure: reads no clock.
"""

from collections.abc import Callable

from app.directory.batching import KEEP_S, LEADING_EDGE_S, Batcher
from app.directory.delta import Delta
from app.directory.own import OwnFilter
from app.directory.replica import Version

#: Epochs are 4 bytes; what is near the end is nonsense from outside, never a start time.
_MAX_EPOCH = 0xFFFF0000


class Announcer:
    """Decides; whoever calls it sends. `members` is always the present size of the cluster, this node included."""

    def __init__(self, own: OwnFilter, now: float) -> None:
        self._own = own
        self._batcher = Batcher(now)
        self._epoch_at: float | None = None  # when a new epoch is to begin, other than for removals
        self._bulk_at = float("-inf")  # when too many keys at once may begin one again

    def key_added(self, fingerprint: int, members: int, now: float) -> None:
        """We hold this from now on."""
        if not self._own.add(fingerprint) or self._epoch_at is not None:
            return
        if self._own.outgrown(members):
            self._epoch_at = now + LEADING_EDGE_S
        elif members > 1 and not self._batcher.add(fingerprint, self._own.revision, members, now):
            self._too_many(now)

    def key_removed(self, fingerprint: int, now: float) -> None:
        """We don't hold this any more."""
        self._own.remove(fingerprint, now)

    def outlive(self, version: Version, now: float) -> None:
        """Others know this version of our filter. If its epoch is later (the clock was set back), go on after it."""
        if self._own.epoch < version.epoch < _MAX_EPOCH:
            self._own.epoch = version.epoch
            self._epoch_at = now

    def heard(self, members: int, now: float) -> None:
        """Another node broadcast a delta: there is less room for ours."""
        self._batcher.bucket.heard(now, members)

    def due(self, members: int, suppressed: Callable[[int], bool], now: float) -> list[Delta]:
        """What is to be broadcast now. Keys for which `suppressed` is true are left to anti-entropy."""
        told = []
        if self._is_epoch_due(now):
            told.append(self._new_epoch(members, now))
        batch_at = self._batcher.due()
        if batch_at is not None and batch_at <= now:
            for batch in self._batcher.take(now, members, suppressed):
                told.append(self._own.broadcast(batch.keys, batch.since, batch.revision, now))
        if self._own.refresh_at() <= now:
            told.append(self._own.refresh(now))
        return told

    def next_deadline(self) -> float:
        """When `due` may have something next."""
        times = (self._epoch_at, self._batcher.due(), self._own.rebuild_at(), self._own.refresh_at())
        return min(at for at in times if at is not None)

    def _too_many(self, now: float) -> None:
        if self._bulk_at <= now:  # otherwise anti-entropy will do
            self._epoch_at = now + LEADING_EDGE_S
            self._bulk_at = now + KEEP_S

    def _is_epoch_due(self, now: float) -> bool:
        times = (self._epoch_at, self._own.rebuild_at())
        return any(at is not None and at <= now for at in times)

    def _new_epoch(self, members: int, now: float) -> Delta:
        removals_at = self._own.rebuild_at()
        if self._own.outgrown(members) or (removals_at is not None and removals_at <= now):
            self._own.rebuild(members, now)
        else:
            self._own.new_epoch()
        self._epoch_at = None
        self._batcher.clear()  # who fetches the filter has these keys
        return self._own.announce(now)
