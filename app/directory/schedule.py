"""Anti-entropy: whom to ask next, and when. Decides only; `feed` asks.

- A node that has just come asks one member for everything, and tries others until that worked.
- From then on it compares with one random member every `ROUND_S`, or `DIFFERENT_S` while the last two differed.
- A gap in one peer's filter is fetched from that peer, after a random moment: all nodes see the same gap at once.

Pure: reads no clock; the random source is the caller's.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from app.directory.delta import Origin

ROUND_S = 10.0
DIFFERENT_S = 5.0
#: Members show up in bursts after a join: let the burst pass before one of them is asked for everything, seconds.
SETTLE_S = 0.005
#: A member takes part in the gossip a moment before it listens: waits between attempts, seconds.
RETRY_S = (0.1, 0.3, 1.0, 2.0, 5.0)
#: Conversations at a time, all in all; one with each peer.
MAX_CONVERSATIONS = 4

_JITTER_S, _JITTER_PER_MEMBER_S, _MAX_JITTER_S = 0.5, 0.01, ROUND_S / 2


def jitter_s(members: int) -> float:
    """The time over which the nodes that saw the same gap spread their fetches, seconds.

    500 ms, and more from 50 members on, so that one node is not asked more than 100 times a second.
    """
    return min(max(_JITTER_S, members * _JITTER_PER_MEMBER_S), _MAX_JITTER_S)


class Reason(Enum):
    """Why somebody is asked, and thereby what."""

    JOIN = "join"  # everything
    ROUND = "round"  # compare
    GAP = "gap"  # its own filter


@dataclass(frozen=True, slots=True)
class Ask:
    peer: Origin
    reason: Reason


class Schedule:
    """What is due. Every `Ask` that it gives out must come back by `done` or `failed`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._joined = False
        self._round_at: float | None = None  # None while there is nobody to ask
        self._round_failures = 0
        self._gaps: dict[Origin, float] = {}
        self._gap_failures: dict[Origin, int] = {}
        self._asked: dict[Origin, Reason] = {}

    @property
    def joined(self) -> bool:
        """Whether some member has told everything that it knew."""
        return self._joined

    def peer_came(self, peer: Origin, members: int, now: float) -> None:
        """A peer is there of whose filter we may know nothing, or old things."""
        if self._round_at is None and not self._rounding():
            self._round_at = now + SETTLE_S
        if self._joined:
            self.gap(peer, members, now)

    def peer_went(self, peer: Origin) -> None:
        self._gaps.pop(peer, None)
        self._gap_failures.pop(peer, None)

    def gap(self, peer: Origin, members: int, now: float) -> bool:
        """Something of this peer's filter is missing; False if that is known, or being cared for."""
        if not self._joined or peer in self._gaps or self._asked.get(peer) is Reason.GAP:
            return False
        self._gaps[peer] = now + self._rng.uniform(0.0, jitter_s(members))
        return True

    def closed(self, peer: Origin) -> None:
        """Nothing is missing any more."""
        self._gaps.pop(peer, None)
        self._gap_failures.pop(peer, None)

    def hurry(self, now: float) -> None:
        """Much may be missing, of whomever: compare soon."""
        if self._round_at is not None:
            self._round_at = min(self._round_at, now + self._rng.uniform(0.0, _JITTER_S))

    def due(self, peers: Sequence[Origin], now: float) -> list[Ask]:
        """Whom to ask now, of the present `peers`."""
        asks = []
        if self._round_at is not None and self._round_at <= now and self._room():
            free = [peer for peer in peers if peer not in self._asked]
            self._round_at = None
            if free:
                asks.append(self._ask(self._rng.choice(free), Reason.ROUND if self._joined else Reason.JOIN))
            elif peers:
                self._round_at = now + RETRY_S[0]
        for peer in [peer for peer, at in self._gaps.items() if at <= now]:
            if not self._room():
                break
            if peer not in self._asked:
                del self._gaps[peer]
                asks.append(self._ask(peer, Reason.GAP))
        return asks

    def next_deadline(self) -> float | None:
        """When `due` may have something to give; None if only an input can change that."""
        if not self._room():
            return None
        times = [at for peer, at in self._gaps.items() if peer not in self._asked]
        if self._round_at is not None:
            times.append(self._round_at)
        return min(times, default=None)

    def done(self, peer: Origin, differs: bool, now: float) -> None:
        """The conversation ended well; `differs` if the two did not know the same before it."""
        reason = self._asked.pop(peer, None)
        self._gap_failures.pop(peer, None)
        if reason is Reason.GAP or reason is None:
            return
        self._joined = True
        self._round_failures = 0
        self._round_at = now + self._spread(DIFFERENT_S if differs else ROUND_S)

    def failed(self, peer: Origin, now: float) -> None:
        """The conversation failed, or did not bring what was missing."""
        reason = self._asked.pop(peer, None)
        if reason is Reason.GAP:
            failures = self._gap_failures.get(peer, 0)
            if failures < len(RETRY_S):
                self._gaps[peer] = now + RETRY_S[failures]
                self._gap_failures[peer] = failures + 1
            else:
                self._gap_failures.pop(peer, None)  # the rounds will bring it
        elif reason is Reason.JOIN:
            self._round_at = now + RETRY_S[min(self._round_failures, len(RETRY_S) - 1)]
            self._round_failures += 1
        elif reason is Reason.ROUND:
            self._round_at = now + self._spread(DIFFERENT_S)

    def reason(self, peer: Origin) -> Reason | None:
        """Why this peer is being asked, None if it isn't."""
        return self._asked.get(peer)

    def _ask(self, peer: Origin, reason: Reason) -> Ask:
        self._asked[peer] = reason
        return Ask(peer, reason)

    def _room(self) -> bool:
        return len(self._asked) < MAX_CONVERSATIONS

    def _rounding(self) -> bool:
        return any(reason is not Reason.GAP for reason in self._asked.values())

    def _spread(self, interval_s: float) -> float:
        return interval_s * self._rng.uniform(0.9, 1.1)
