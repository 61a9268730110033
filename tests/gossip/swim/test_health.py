"""The local health score: kept in range, and what it stretches."""

import pytest

from gossip.swim.health import Health


@pytest.mark.parametrize(
    ("deltas", "score"),
    [([], 0), ([-1], 0), ([1, 1], 2), ([3, -1], 2), ([100], 7), ([100, -1], 6), ([-5, 1], 1)],
)
def test_score_stays_in_range(deltas: list[int], score: int) -> None:
    """The score moves by the deltas and never leaves 0 to 7."""
    health = Health(8)
    for delta in deltas:
        health.change(delta)
    assert health.score == score
    assert health.stretch(2.0) == 2.0 * (score + 1)
