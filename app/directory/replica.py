"""Where our copy of one peer's filter is in that filter's history.

Pure bookkeeping of versions; the bits are in `index`. Deltas come late, twice, in any order or never, and whole filters
come from third nodes; whatever comes, in the end the copy is complete or says that something is missing. Three
things are kept apart:

- `revision`: every key up to this one is in the copy. Only this is told to others.
- a *gap*: a broadcast was lost, or a newer epoch is known of. It is fetched at once.
- merely *behind*: keys that were never broadcast are missing. Periodic anti-entropy brings them.
"""

from dataclasses import dataclass
from enum import Enum

from app.directory.bloom import Bloom
from app.directory.delta import Delta, Origin

#: What is remembered beyond a hole, each of sequences, claims and deltas of a newer epoch. Beyond it they are
#: forgotten, and the hole stays until a whole filter closes it.
MAX_AHEAD = 64


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A state of a filter. Ordered: newer is greater."""

    epoch: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole filter as somebody holds it: complete up to the version and to the broadcast `sequence`, perhaps more."""

    origin: Origin
    version: Version
    sequence: int
    filter: Bloom


class Verdict(Enum):
    """What a delta was."""

    OLD = "old"  # known already, or of an older epoch: nothing to do
    NEW = "new"  # its keys are to be added
    GAP = "gap"  # as NEW, and something before it is missing


class Take(Enum):
    """What is to be done with a whole filter."""

    IGNORE = "ignore"
    MERGE = "merge"  # same epoch: both may have keys that the other lacks
    REPLACE = "replace"


class Replica:
    """The bookkeeping for one peer. A new one is at epoch 0, which no peer has: everything is missing."""

    __slots__ = ("_ahead", "_claims", "_early", "epoch", "revision", "sequence")

    def __init__(self) -> None:
        self.epoch = 0
        self.revision = 0
        self.sequence = 0  # all broadcasts up to this one were applied
        self._ahead: set[int] = set()  # sequences beyond it
        self._claims: dict[int, int] = {}  # since -> revision of claims that don't reach down to ours
        self._early: dict[int, Delta] = {}  # sequence -> delta of the newest epoch heard of, if that isn't ours

    @property
    def version(self) -> Version:
        return Version(self.epoch, self.revision)

    @property
    def gap(self) -> bool:
        """Whether something is missing that should be fetched at once."""
        return self.epoch == 0 or bool(self._ahead or self._early)

    def apply(self, delta: Delta) -> Verdict:
        """Count a delta in. Its keys are to be added to the copy unless the verdict is OLD."""
        if delta.epoch < self.epoch:
            return Verdict.OLD
        if delta.epoch > self.epoch:
            return self._apply_early(delta)
        if delta.sequence <= self.sequence or delta.sequence in self._ahead:
            return Verdict.OLD
        if len(self._ahead) < MAX_AHEAD or delta.sequence == self.sequence + 1:
            self._ahead.add(delta.sequence)
        self._close_up()
        self._claim(delta.since, delta.revision)
        return Verdict.GAP if self.gap else Verdict.NEW

    def load(self, version: Version, sequence: int) -> tuple[Take, list[Delta]]:
        """Count a whole filter in: what to do with it, and the deltas whose keys are to be added after that."""
        if version < Version(self.epoch) or (version.epoch == self.epoch and not self._has_news(version, sequence)):
            return Take.IGNORE, []
        if version.epoch == self.epoch:
            self._advance(version.revision, sequence)
            return Take.MERGE, []
        early = [delta for delta in self._early.values() if delta.epoch >= version.epoch]
        self._early.clear()
        self._ahead.clear()
        self._claims.clear()
        self.epoch, self.revision, self.sequence = version.epoch, version.revision, sequence
        for delta in early:
            self.apply(delta)
        return Take.REPLACE, early

    def _has_news(self, version: Version, sequence: int) -> bool:
        return version.revision > self.revision or sequence > self.sequence

    def _apply_early(self, delta: Delta) -> Verdict:
        # All early deltas are of one epoch: a newer one makes the others pointless.
        known = next(iter(self._early.values()), None)
        if known is not None and known.epoch != delta.epoch:
            if delta.epoch < known.epoch:
                return Verdict.OLD
            self._early.clear()
        if delta.sequence in self._early:
            return Verdict.OLD
        if len(self._early) < MAX_AHEAD:
            self._early[delta.sequence] = delta
        return Verdict.GAP

    def _advance(self, revision: int, sequence: int) -> None:
        self.revision = max(self.revision, revision)
        self.sequence = max(self.sequence, sequence)
        self._ahead = {ahead for ahead in self._ahead if ahead > self.sequence}
        self._close_up()
        self._join_claims()

    def _close_up(self) -> None:
        while self.sequence + 1 in self._ahead:
            self.sequence += 1
            self._ahead.discard(self.sequence)

    def _claim(self, since: int, revision: int) -> None:
        if since in self._claims or len(self._claims) < MAX_AHEAD or since <= self.revision:
            self._claims[since] = max(revision, self._claims.get(since, 0))
        self._join_claims()

    def _join_claims(self) -> None:
        for since in sorted(self._claims):
            if since > self.revision:
                break
            self.revision = max(self.revision, self._claims.pop(since))
