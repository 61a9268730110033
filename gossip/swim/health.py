"""Lifeguard's local health: how much this node distrusts itself.

A node that misses acks, gets accused or whose helpers stay silent is probably slow itself, so it gives its
probes more time before it accuses others (Lifeguard paper, "self-awareness"; memberlist `awareness.go`).
"""


class Health:
    """A score from 0 (healthy) to `limit - 1`."""

    __slots__ = ("_limit", "score")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.score = 0

    def change(self, delta: int) -> None:
        """Add `delta` (negative is better), kept in range."""
        self.score = min(self._limit - 1, max(0, self.score + delta))

    def stretch(self, duration_s: float) -> float:
        """`duration_s`, longer the worse this node feels."""
        return duration_s * (self.score + 1)
