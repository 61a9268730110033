"""Whom to join and when to ask again: the decisions of the bootstrap, without clock, network or greenlets.

Asking never ends. While a node is alone it asks with back-off; once it has company it still asks once a minute, since
that is what heals a cluster whose halves have forgotten each other: an address that is no member is joined.

Readiness (the answer to "has this node found its cluster?") must neither come too early nor deadlock a first node:
where pods start in order, the second is not made before the first is ready, and a cluster whose DNS is down
must still roll out. So a node is settled as soon as it has company, or a whole round has found nobody who
answers, or `FAILURES_UNTIL_SETTLED` look-ups have failed. Later failures don't unsettle it: its own content is
served all the same.
"""

import random
from collections.abc import Collection, Iterator

from app.address import Address

#: Waits while alone: doubled from the first to the longest.
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0
#: Wait while there is company.
REGULAR_WAIT_S = 60.0
#: Share of a wait that is left to chance, so that nodes that start together don't ask together for ever.
JITTER = 0.25
#: Joined at once. One that answers is enough, since it tells of all the others; three, since some may be gone.
JOIN_WIDTH = 3
#: Groups tried in one round while nobody answers: 15 addresses, of which one is alive unless most are stale.
JOIN_GROUPS = 5
FAILURES_UNTIL_SETTLED = 3


class Schedule:
    """One node's bootstrap. Each round: `groups`, each joined until one answers, then `ended` or `failed`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lonely_rounds = 0
        self._failures = 0
        self.settled = False

    def groups(
        self, answer: Collection[Address], members: Collection[Address], own: Address
    ) -> Iterator[list[Address]]:
        """Addresses to join, a few at a time, in an order of chance; none that is a member or the own one."""
        strangers = sorted(set(answer) - set(members) - {own})
        self._rng.shuffle(strangers)
        for start in range(0, min(len(strangers), JOIN_WIDTH * JOIN_GROUPS), JOIN_WIDTH):
            yield strangers[start : start + JOIN_WIDTH]

    def ended(self, *, alone: bool) -> float:
        """A round is over; returns the seconds to wait for the next one."""
        self._failures = 0
        self.settled = True
        return self._wait(alone=alone)

    def failed(self, *, alone: bool) -> float:
        """No answer could be had; returns the seconds to wait for the next try."""
        self._failures += 1
        self.settled = self.settled or not alone or self._failures >= FAILURES_UNTIL_SETTLED
        return self._wait(alone=alone)

    def _wait(self, *, alone: bool) -> float:
        if not alone:
            self._lonely_rounds = 0
            return self._spread(REGULAR_WAIT_S)
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(self._lonely_rounds, 16), LONGEST_WAIT_S)
        self._lonely_rounds += 1
        return self._spread(wait_s)

    def _spread(self, wait_s: float) -> float:
        return wait_s * self._rng.uniform(1.0 - JITTER, 1.0 + JITTER)
