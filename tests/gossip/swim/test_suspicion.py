"""Lifeguard's suspicion, against memberlist's figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.swim.settings import LAN, LOCAL, WAN, Settings
from gossip.swim.suspicion import Bounds, Suspicion


@pytest.mark.parametrize(
    ("settings", "members", "minimum_s", "maximum_s", "confirmations"),
    [
        (LAN, 1, 4.0, 24.0, 0),
        (LAN, 3, 4.0, 24.0, 0),  # one other to confirm, two would be needed
        (LAN, 4, 4.0, 24.0, 2),
        (LAN, 10, 4.0, 24.0, 2),
        (LAN, 100, 8.0, 48.0, 2),
        (LAN, 500, 10.792, 64.752, 2),  # log10 cut to 2.698
        (LAN, 1000, 12.0, 72.0, 2),
        (WAN, 100, 60.0, 360.0, 4),
        (LOCAL, 100, 6.0, 36.0, 1),
    ],
)
def test_bounds(settings: Settings, members: int, minimum_s: float, maximum_s: float, confirmations: int) -> None:
    """The range grows with the logarithm of the cluster; without enough others no confirmation is awaited."""
    bounds = Bounds.of(settings, members)
    assert [bounds.minimum_s, bounds.maximum_s] == pytest.approx([minimum_s, maximum_s])
    assert bounds.confirmations == confirmations


@pytest.mark.parametrize(
    ("bounds", "confirmed", "timeout_s"),
    [
        (Bounds(4.0, 24.0, 0), 0, 4.0),
        (Bounds(4.0, 24.0, 2), 0, 24.0),
        (Bounds(4.0, 24.0, 2), 1, 11.381),  # 24 - 20 ln 2 / ln 3, cut to ms
        (Bounds(4.0, 24.0, 2), 2, 4.0),
        (Bounds(8.0, 48.0, 3), 1, 28.0),  # ln 2 / ln 4 is one half
        (Bounds(2.0, 30.0, 3), 2, 7.81),  # memberlist's own table: 2 to 30 s, 3 confirmations
        (Bounds(2.0, 30.0, 3), 3, 2.0),
    ],
)
def test_timeout(bounds: Bounds, confirmed: int, timeout_s: float) -> None:
    """The time shrinks with the logarithm of the confirmations, down to the minimum."""
    assert bounds.timeout_s(confirmed) == pytest.approx(timeout_s, abs=1e-9)


@given(st.floats(0.1, 60), st.floats(1, 10), st.integers(1, 8))
def test_more_confirmations_never_take_longer(minimum_s: float, factor: float, confirmations: int) -> None:
    """Whatever the bounds, each confirmation shortens the time or leaves it, and it stays within them."""
    bounds = Bounds(minimum_s, minimum_s * factor, confirmations)
    times = [bounds.timeout_s(confirmed) for confirmed in range(confirmations + 1)]
    assert times == sorted(times, reverse=True)
    assert all(minimum_s <= time <= minimum_s * factor for time in times)


def test_confirmations_count_once_per_sender() -> None:
    """The accuser and a repeated confirmation don't count, nor do more than needed; each that counts is news."""
    suspicion = Suspicion(Bounds(4.0, 24.0, 2), "a", 100.0)
    assert suspicion.verdict_at == 124.0
    assert [suspicion.confirm(name) for name in ("a", "b", "b", "a", "c", "d")] == [
        False, True, False, False, True, False,
    ]  # fmt: skip
    assert suspicion.verdict_at == 104.0
