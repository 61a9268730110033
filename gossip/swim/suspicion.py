"""How long a suspect may live: Lifeguard's dynamic suspicion, as a formula, and who has confirmed one.

The more members suspect the same node independently, the less time it gets to refute (Lifeguard paper,
"LHA-Suspicion"; memberlist `suspicion.go`). Reads no clock and sets no timer: `gossip.swim.view` does.
"""

import math
from dataclasses import dataclass

from gossip.swim.settings import Settings


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range of one suspicion: it starts at `maximum_s` and ends at `minimum_s` after `confirmations`."""

    minimum_s: float
    maximum_s: float
    confirmations: int

    @classmethod
    def of(cls, settings: Settings, members: int) -> "Bounds":
        """The bounds in a cluster of `members`, the dead included.

        Where so few others exist that the confirmations can't come in, none are awaited and the minimum
        holds from the start.
        """
        logarithm = math.floor(max(1.0, math.log10(max(1, members))) * 1000) / 1000
        minimum_s = settings.suspicion_mult * logarithm * settings.probe_interval_s
        confirmations = settings.suspicion_mult - 2
        if members - 2 < confirmations:
            confirmations = 0
        return cls(minimum_s, minimum_s * settings.suspicion_max_mult, max(0, confirmations))

    def timeout_s(self, confirmed: int) -> float:
        """Seconds from the suspicion's start to the verdict after `confirmed` confirmations; whole milliseconds."""
        if self.confirmations == 0:
            return self.minimum_s
        share = math.log(confirmed + 1) / math.log(self.confirmations + 1)
        raw_s = self.maximum_s - (self.maximum_s - self.minimum_s) * share
        return max(self.minimum_s, math.floor(raw_s * 1000) / 1000)


class Suspicion:
    """One running suspicion."""

    __slots__ = ("_accuser", "_bounds", "_confirmed_by", "_started_at")

    def __init__(self, bounds: Bounds, accuser: str, now: float) -> None:
        self._bounds = bounds
        self._accuser = accuser
        self._confirmed_by: list[str] = []  # never longer than bounds.confirmations
        self._started_at = now

    @property
    def verdict_at(self) -> float:
        """When the suspect is declared dead, by what is known now; may lie in the past after a confirmation."""
        return self._started_at + self._bounds.timeout_s(len(self._confirmed_by))

    def confirm(self, accuser: str) -> bool:
        """Count `accuser`; True if this is news that shortens the suspicion and is worth telling on."""
        if len(self._confirmed_by) >= self._bounds.confirmations:
            return False
        if accuser == self._accuser or accuser in self._confirmed_by:
            return False
        self._confirmed_by.append(accuser)
        return True
