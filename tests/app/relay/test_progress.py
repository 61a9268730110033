"""When a sender counts as stalled: tables of what came and how long it was waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.relay.progress import ProgressMeter

FLOOR, WINDOW = 100, 2.0


def meter(total: int = 10_000) -> ProgressMeter:
    return ProgressMeter(floor_bytes=FLOOR, window_s=WINDOW, total=total)


@pytest.mark.parametrize(
    ("total", "events", "stalled"),
    [
        pytest.param(10_000, [], False, id="nothing yet"),
        pytest.param(10_000, [2.0], True, id="silence"),
        pytest.param(10_000, [1.9], False, id="not yet"),
        pytest.param(10_000, [1.0, 1.0], True, id="waits add up"),
        pytest.param(10_000, [1.9, 99, 0.1], True, id="a trickle"),
        pytest.param(10_000, [1.9, 100, 1.9], False, id="just enough begins anew"),
        pytest.param(10_000, [1.9, 60, 60, 1.9, 99, 0.1], True, id="each window counts for itself"),
        pytest.param(50, [1.9, 49, 0.1], True, id="less than the floor is left and does not come"),
        pytest.param(50, [1.9, 50, 5.0], False, id="all there"),
        pytest.param(120, [1.9, 100, 1.9, 20, 9.0], False, id="the rest may be small"),
        pytest.param(10_000, [2.5, 100], False, id="late bytes still count"),
    ],
)
def test_verdicts(total: int, events: list[float | int], stalled: bool) -> None:
    """Floats are seconds waited, integers bytes received."""
    under_test = meter(total)
    for event in events:
        if isinstance(event, float):
            under_test.waited(event)
        else:
            under_test.received(event)
    assert under_test.stalled is stalled


def test_patience_is_what_is_left_of_the_window() -> None:
    """What to wait for at most; never negative."""
    under_test = meter()
    assert under_test.patience_s == 2.0
    under_test.waited(1.5)
    assert under_test.patience_s == 0.5
    under_test.waited(1.0)
    assert under_test.patience_s == 0.0


@given(st.lists(st.tuples(st.floats(0, WINDOW, exclude_max=True), st.integers(FLOOR, 500)), max_size=50))
def test_a_sender_at_the_floor_never_stalls(turns: list[tuple[float, int]]) -> None:
    """However long its client takes: only waiting for it counts."""
    under_test = meter(total=100_000)
    for seconds, count in turns:
        under_test.waited(seconds)
        under_test.received(count)
        assert not under_test.stalled
