"""When new keys are told, and how many at a time: batches with a leading edge, under a token bucket.

Pure: reads no clock. Gossip has little room: every message goes to every node about R times, R the transmit limit
of memberlist, so what all nodes together may say a second shrinks with log N, and a node's share of it with N. Keys
that find no room in time are dropped here: they are in the filter already, and anti-entropy brings them.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from app.directory.delta import MAX_KEYS

#: Wait before the first key after a quiet time is told, seconds: those of the same moment go with it.
LEADING_EDGE_S = 0.001
#: Deltas that may leave at once after a quiet time.
BURST = 64
#: Keys not told within one interval of anti-entropy are left to it, seconds.
KEEP_S = 10.0
#: Keys that wait at most; more at once are told by a new epoch, which costs one fetch each instead of a flood.
MAX_WAITING = 8 * MAX_KEYS

_SMALL, _LARGE = 50, 1000
_BATCH_SMALL_S, _BATCH_LARGE_S = 0.005, 0.250
# Packets that one node sends a second: memberlist's 5 ticks of 3 peers, and more where the eager flush may
# run every 3 ms (3 peers each; a third of that, since the receivers have to keep up).
_PACKETS_LARGE, _PACKETS_SMALL, _EAGER_ENDS = 15.0, 300.0, 300
_PACKET_ROOM = 1370  # bytes of messages in one packet, memberlist's 1,400 without headers
_MESSAGE_BYTES = 480  # a full delta with Serf's and memberlist's framing


def _between(members: int, small: float, large: float, at_large: int) -> float:
    share = min(max(members - _SMALL, 0) / (at_large - _SMALL), 1.0)
    return small + (large - small) * share


def batch_s(members: int) -> float:
    """How long keys wait for others: 5 ms up to 50 members, growing to 250 ms at 1,000."""
    return _between(members, _BATCH_SMALL_S, _BATCH_LARGE_S, _LARGE)


def capacity(members: int) -> float:
    """Full deltas that the whole cluster can carry, a second: packets x messages per packet / retransmits."""
    retransmits = 4 * math.ceil(math.log10(members + 1))
    packets = _between(members, _PACKETS_SMALL, _PACKETS_LARGE, _EAGER_ENDS)
    return packets * (_PACKET_ROOM // (_MESSAGE_BYTES + 3)) / retransmits


class TokenBucket:
    """How many deltas this node may send now.

    It fills with the node's own share, half the cluster's capacity divided by the members, and with what the deltas
    heard in the last second leave free of that half.
    """

    def __init__(self, now: float) -> None:
        self._tokens = float(BURST)
        self._heard = 0.0  # decays by 1/e a second, so its value is the rate
        self._at = now

    def heard(self, now: float, members: int) -> None:
        """Another node's delta arrived."""
        self._fill(now, members)
        self._heard += 1.0

    def take(self, now: float, members: int) -> bool:
        """Use up one token if there is one."""
        self._fill(now, members)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait_s(self, members: int) -> float:
        """Seconds from the last call of `take` until there is a token, if nobody is heard meanwhile."""
        return max(0.0, (1.0 - self._tokens) / self._rate(members))

    def _rate(self, members: int) -> float:
        half = capacity(members) / 2
        return max(half / members, half - self._heard)

    def _fill(self, now: float, members: int) -> None:
        elapsed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(float(BURST), self._tokens + elapsed * self._rate(members))
        self._heard *= math.exp(-elapsed)


@dataclass(frozen=True, slots=True)
class Batch:
    """The keys of one delta, with the revisions that it claims (see `delta`)."""

    keys: tuple[int, ...]
    since: int
    revision: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    revision: int
    fingerprint: int
    since: float


class Batcher:
    """The queue of keys to be told."""

    def __init__(self, now: float) -> None:
        self.bucket = TokenBucket(now)
        self._waiting: deque[_Waiting] = deque()
        self._told_at = float("-inf")
        self._due: float | None = None

    def add(self, fingerprint: int, revision: int, members: int, now: float) -> bool:
        """Queue a key; False if too many wait, and nothing was queued."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(_Waiting(revision, fingerprint, now))
        if self._due is None:
            self._due = max(now + LEADING_EDGE_S, self._told_at + batch_s(members))
        return True

    def clear(self) -> None:
        """Forget what waits: it is told in another way."""
        self._waiting.clear()
        self._due = None

    def due(self) -> float | None:
        """When `take` should be called next; None if nothing waits."""
        return self._due

    def take(self, now: float, members: int, suppressed: Callable[[int], bool]) -> list[Batch]:
        """The batches to tell now, as many as the bucket allows.

        A key for which `suppressed` is true is left out and claimed by no batch.
        """
        while self._waiting and self._waiting[0].since <= now - KEEP_S:
            self._waiting.popleft()
        batches = []
        while self._waiting:
            entries = self._next_entries(suppressed)
            if not entries:
                break
            if not self.bucket.take(now, members):
                self._waiting.extendleft(reversed(entries))
                break
            batches.append(_batch(entries))
        if batches:
            self._told_at = now
        self._due = now + max(batch_s(members), self.bucket.wait_s(members)) if self._waiting else None
        return batches

    def _next_entries(self, suppressed: Callable[[int], bool]) -> list[_Waiting]:
        entries: list[_Waiting] = []
        while self._waiting and len(entries) < MAX_KEYS:
            entry = self._waiting.popleft()
            if not suppressed(entry.fingerprint):
                entries.append(entry)
        return entries


def _batch(entries: list[_Waiting]) -> Batch:
    """Claim the revisions at the end that have no hole."""
    since = last = entries[-1].revision
    for entry in reversed(entries):
        if entry.revision != since:
            break
        since -= 1
    return Batch(tuple(entry.fingerprint for entry in entries), since, last)
