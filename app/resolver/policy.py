"""In which order candidates are asked. Pure: what is known of each goes in, the order comes out.

A policy puts everybody it is given somewhere and invents nobody (`tests/contracts/policy.py`). The random source is the
caller's, so the same input gives the same order; equals are told apart by chance, so that a hundred nodes with the same
view don't all ask the same three.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from gossip.membership import Member


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate and what speaks for or against it.

    `doubtful`: suspected by the gossip, failed lately, or gave wrong bytes for what is asked. `latency_s` is None as
    long as it has not answered anything.
    """

    member: Member
    same_zone: bool
    in_flight: int
    latency_s: float | None
    doubtful: bool


Policy = Callable[[Sequence[Standing], Random], list[Member]]

#: Stands in for a latency that is not known: that of a near peer, so that new members get their share of questions.
_UNKNOWN_LATENCY_S = 0.001
#: Latencies that differ by less are no reason to prefer one (measured: repeats of one peer differ by as much).
_LATENCY_STEP_S = 0.001


def nearest(candidates: Sequence[Standing], rng: Random) -> list[Member]:
    """The same zone first, then the fewest transfers of ours, then the lowest latency; the doubtful after all."""

    def rank(standing: Standing) -> tuple[bool, bool, int, int, float]:
        latency_s = _UNKNOWN_LATENCY_S if standing.latency_s is None else standing.latency_s
        return (
            standing.doubtful,
            not standing.same_zone,
            standing.in_flight,
            int(latency_s / _LATENCY_STEP_S),
            rng.random(),
        )

    return [standing.member for standing in sorted(candidates, key=rank)]


def shuffled(candidates: Sequence[Standing], rng: Random) -> list[Member]:
    """Any order, the doubtful after all others: for clusters whose zones and latencies say nothing."""
    ranked = sorted(candidates, key=lambda standing: (standing.doubtful, rng.random()))
    return [standing.member for standing in ranked]


POLICIES: dict[str, Policy] = {"nearest": nearest, "shuffled": shuffled}
