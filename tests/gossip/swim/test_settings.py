"""The formulas of the settings, against memberlist's own figures."""

import pytest

from gossip.errors import UsageError
from gossip.swim.settings import LAN, LOCAL, WAN, Settings


@pytest.mark.parametrize(
    ("members", "limit"),
    [(1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (999, 12), (1000, 16), (9999, 16)],
)
def test_retransmit_limit(members: int, limit: int) -> None:
    """Transmits grow by the number of decimal digits."""
    assert LAN.retransmit_limit(members) == limit


@pytest.mark.parametrize(("members", "scale"), [(1, 1), (32, 1), (33, 2), (64, 2), (100, 3), (500, 5), (1000, 6)])
def test_push_pull_scale(members: int, scale: int) -> None:
    """Push/pulls get rarer by the logarithm above 32 members."""
    assert LAN.push_pull_scale(members) == scale


@pytest.mark.parametrize(("members", "spacing_s"), [(1, 0.003), (50, 0.003), (225, 0.0265), (400, 0.05), (5000, 0.05)])
def test_eager_spacing(members: int, spacing_s: float) -> None:
    """Eager rounds may follow each other at once in small clusters, and are 50 ms apart in large ones."""
    assert LAN.eager_spacing(members) == pytest.approx(spacing_s)


@pytest.mark.parametrize("preset", [LAN, WAN, LOCAL])
def test_presets_leave_time_for_helpers(preset: Settings) -> None:
    """In every preset a silent target leaves part of the interval for the indirect probes."""
    assert 0 < preset.probe_timeout_s < preset.probe_interval_s


@pytest.mark.parametrize("timeout_s", [0.0, 1.0, 2.0])
def test_probe_timeout_out_of_range(timeout_s: float) -> None:
    """A probe time-out outside the interval is refused by name, with the range."""
    with pytest.raises(UsageError, match=r"probe_timeout_s is .* between 0 and probe_interval_s"):
        Settings(probe_timeout_s=timeout_s)
